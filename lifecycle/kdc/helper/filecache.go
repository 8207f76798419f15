package helper

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/lifecycle/kdc"
)

// cacheName is the file of the cache in a room.
const cacheName = "cache"

// maxCache bounds the size of the cache that a program leaves, in bytes.
const maxCache = 1 << 20

// Of the format of caches of type FILE, version 4.
const (
	fileVersion = 0x0504
	tagOffset   = 1
)

// writeCache makes the cache with some credentials. The programs of libkrb5 take the
// KDC's clock from it.
func (r *room) writeCache(client ccache.Principal, kdcOffset int32, credentials ...*ccache.Credential) error {
	size := 256 + len(client.Append(nil))
	for _, c := range credentials {
		size += len(c.Bytes())
	}
	b := make([]byte, 0, size) // not moved: no copy is left behind
	defer func() { clear(b[:cap(b)]) }()
	b = binary.BigEndian.AppendUint16(b, fileVersion)
	b = binary.BigEndian.AppendUint16(b, 12) // length of the header
	b = binary.BigEndian.AppendUint16(b, tagOffset)
	b = binary.BigEndian.AppendUint16(b, 8)
	b = binary.BigEndian.AppendUint32(b, uint32(kdcOffset))
	b = binary.BigEndian.AppendUint32(b, 0) // microseconds
	b = client.Append(b)
	for _, c := range credentials {
		b = append(b, c.Bytes()...)
	}
	f, err := os.OpenFile(r.path(cacheName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// readCache returns the KDC offset and the credentials in the cache, configuration
// entries among them.
func (r *room) readCache() (*kdc.Reply, error) {
	f, err := os.OpenFile(r.path(cacheName), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, maxCache)
	defer clear(b)
	n, err := io.ReadFull(f, b)
	if err == nil {
		return nil, fmt.Errorf("the cache has %d bytes or more", maxCache)
	}
	d := ccache.NewDecoder(b[:n])
	if v := d.Uint16("version"); v != fileVersion {
		return nil, fmt.Errorf("the cache has version %#x, not %#x", v, fileVersion)
	}
	reply := &kdc.Reply{KDCOffset: offsetIn(d.Bytes("header", int(d.Uint16("header length"))))}
	d.Principal("principal")
	for len(d.Rest()) > 0 {
		if c := d.Credential("credential"); d.Err() == nil {
			clone, err := c.Clone()
			if err != nil {
				return nil, err
			}
			reply.Credentials = append(reply.Credentials, clone)
		}
	}
	return reply, d.Err()
}

// offsetIn returns the KDC offset in the header of a cache, 0 if it has none.
func offsetIn(header []byte) int32 {
	d := ccache.NewDecoder(header)
	for len(d.Rest()) > 0 {
		tag := d.Uint16("tag")
		value := ccache.NewDecoder(d.Bytes("field", int(d.Uint16("length"))))
		if tag == tagOffset && d.Err() == nil {
			return int32(value.Uint32("offset"))
		}
	}
	return 0
}
