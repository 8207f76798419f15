package kcmserver

import (
	"errors"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
)

// What handlers return besides the errors of ccstore and ccache.
var (
	errUnsupported   = errors.New("operation is not supported")
	errReplyTooLarge = errors.New("reply would be larger than the protocol allows")
	errList          = errors.New("client has to list the credentials, and so learns the KDC's offset")
	errEnd           = errors.New("no such entry in the iteration")
	errBadName       = errors.New("cache name is not allowed")
	errPermission    = errors.New("cache name belongs to somebody else")
	errLabel         = errors.New("SELinux policy does not allow this with the cache")
	errGiveAway      = errors.New("caches cannot be given away")
	errChanging      = errors.New("cache changed too often while it was moved")
	errMode          = errors.New("mode is not allowed, a cache is its owner's alone (0600)")
)

// code turns an error into what the client is told: the only place that does.
func code(err error) kcm.Code {
	switch {
	case err == nil:
		return kcm.OK
	case errors.Is(err, ccstore.ErrNoCache):
		return kcm.FCCNoFile
	case errors.Is(err, ccstore.ErrNoCredential):
		return kcm.CCNotFound
	case errors.Is(err, errEnd):
		return kcm.CCEnd
	case errors.Is(err, ccache.ErrFormat):
		return kcm.CCFormat
	case errors.Is(err, errBadName):
		return kcm.CCBadName
	case errors.Is(err, errPermission), errors.Is(err, errLabel), errors.Is(err, errGiveAway), errors.Is(err, errMode),
		errors.Is(err, errUnmapped):
		return kcm.FCCPerm
	case errors.Is(err, ccstore.ErrQuota):
		return kcm.EDQUOT // the user reads "Disk quota exceeded"
	case errors.Is(err, budget.ErrExceeded):
		return kcm.CCNoMem
	case errors.Is(err, errUnsupported), errors.Is(err, errReplyTooLarge), errors.Is(err, errList):
		// MIT clients try again with older requests on this code
		// (unsupported_op_error in cc_kcm.c). It must mean nothing else.
		return kcm.FCCInternal
	case errors.Is(err, ccstore.ErrBackend):
		return diskCode(err)
	default:
		// Something is wrong with us. The text is visible to the user, and there
		// is no older request to try.
		return kcm.CCWrite
	}
}

// diskCode tells what is the matter with the disk, in words that the user reads
// ("No space left on device") and an administrator can act on. EDQUOT is not
// one of them: it is what a user's own limits are told by. EFBIG is what a keyring
// says of a large ticket.
func diskCode(err error) kcm.Code {
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.EROFS, unix.EIO, unix.EFBIG} {
		if errors.Is(err, errno) {
			return kcm.Code(errno)
		}
	}
	return kcm.CCWrite
}
