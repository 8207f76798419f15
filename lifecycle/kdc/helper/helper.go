package helper

import (
	"context"
	"errors"
	"fmt"
	"io"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/lifecycle/kdc"
	"kcmd.org/kcmd/safetext"
)

// Serve reads a request, does what it asks for, and writes the reply. It returns an
// error if it cannot read or write.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, kdc.Timeout)
	defer cancel()
	request, err := kdc.ReadRequest(in)
	if err != nil {
		return fmt.Errorf("cannot read the request: %w", err)
	}
	reply, err := do(ctx, request)
	var failure *kdc.Failure
	if err != nil && !errors.As(err, &failure) {
		failure = &kdc.Failure{Reason: kdc.Broken, Text: "the KDC helper failed: " + safetext.Truncate(err.Error(), 160)}
	}
	if err := reply.Write(out, failure); err != nil {
		return fmt.Errorf("cannot write the reply: %w", err)
	}
	return nil
}

// do does what a request asks for in a directory of its own.
func do(ctx context.Context, r *kdc.Request) (*kdc.Reply, error) {
	if r.Op == kdc.Network {
		routes, err := awaitRoutes(ctx, r.Routes)
		return &kdc.Reply{Routes: routes}, err
	}
	room, err := newRoom()
	if err != nil {
		return nil, err
	}
	defer room.remove()
	defer r.Wipe()
	switch r.Op {
	case kdc.Renew:
		return room.exchange(ctx, r, "-R")
	case kdc.Validate:
		return room.exchange(ctx, r, "-v")
	case kdc.Acquire:
		return room.acquire(ctx, r)
	case kdc.ChangePassword:
		return room.changePassword(ctx, r)
	case kdc.Verify:
		return room.verify(ctx, r)
	}
	return nil, &kdc.Failure{Reason: kdc.NotSupported, Text: fmt.Sprintf("the KDC helper cannot %s", safetext.Truncate(string(r.Op), 32))}
}

// exchange has kinit exchange a TGT for another one.
func (r *room) exchange(ctx context.Context, request *kdc.Request, option string) (*kdc.Reply, error) {
	old := request.TGT
	if err := r.writeCache(old.Client, request.KDCOffset, old); err != nil {
		return nil, err
	}
	if _, err := r.run(ctx, nil, "kinit", option); err != nil {
		return nil, err
	}
	reply, err := r.readCache()
	if err != nil {
		return nil, err
	}
	for _, c := range reply.Credentials {
		if c.IsTGT() && c.Client.Equal(old.Client) && c.Server.Equal(old.Server) {
			return &kdc.Reply{Credentials: []*ccache.Credential{c}}, nil
		}
	}
	return nil, errors.New("kinit left no TGT")
}
