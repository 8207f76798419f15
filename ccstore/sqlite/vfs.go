package sqlite

import (
	"errors"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// SQLite as modernc.org/sqlite has it calls fsync, also where the file has no change
// since the last call. The VFS of this file is SQLite's own for Unix (os_unix.c) but
// for one thing: it calls fdatasync, and only if there is something to write. fsync also
// writes the time of the last change, which takes a commit in the journal of the file
// system.

const vfsName = "kcmd"

var (
	unixVFS     uintptr // *lib.Tsqlite3_vfs
	stateOffset uintptr // of fileState in a file of ours

	methodsMu  sync.Mutex
	ourMethods = make(map[uintptr]uintptr) // *lib.Tsqlite3_io_methods by SQLite's, of files with and without locks
)

// A fileState follows SQLite's own part of an open file.
type fileState struct {
	methods *lib.Tsqlite3_io_methods // SQLite's
	synced  bool                     // nothing was written since the last sync; at first that is not known
}

// at returns what is at an address of the memory that Go does not manage.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// pointerTo returns a function for C: one of a package, which stays where it is.
func pointerTo(function any) uintptr { return (*[2]uintptr)(unsafe.Pointer(&function))[1] }

// call returns the Go function behind a pointer of C.
func call[F any](pointer uintptr) F { return *(*F)(unsafe.Pointer(&struct{ uintptr }{pointer})) }

// The types of methods, as SQLite calls them.
type (
	openMethod     = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	writeMethod    = func(tls *libc.TLS, file, from uintptr, n int32, offset lib.Tsqlite3_int64) int32
	truncateMethod = func(tls *libc.TLS, file uintptr, size lib.Tsqlite3_int64) int32
	syncMethod     = func(tls *libc.TLS, file uintptr, flags int32) int32
)

// registerVFS makes the VFS known to SQLite.
var registerVFS = sync.OnceFunc(func() {
	tls := libc.NewTLS()
	defer tls.Close()
	unixVFS = lib.Xsqlite3_vfs_find(tls, 0)
	name, err := libc.CString(vfsName)
	ours := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(lib.Tsqlite3_vfs{})))
	if unixVFS == 0 || err != nil || ours == 0 {
		panic("no memory for the VFS")
	}
	vfs := at[lib.Tsqlite3_vfs](ours)
	*vfs = *at[lib.Tsqlite3_vfs](unixVFS)
	stateOffset = (uintptr(vfs.FszOsFile) + 7) &^ 7
	vfs.FszOsFile = int32(stateOffset + unsafe.Sizeof(fileState{}))
	vfs.FzName = name
	vfs.FxOpen = pointerTo(openFile)
	if lib.Xsqlite3_vfs_register(tls, ours, 0) != lib.SQLITE_OK {
		panic("cannot register the VFS")
	}
})

func stateOf(file uintptr) *fileState { return at[fileState](file + stateOffset) }

// openFile opens a file as SQLite does, and replaces the methods of a database and of a
// WAL.
func openFile(tls *libc.TLS, _, name, file uintptr, flags int32, outFlags uintptr) int32 {
	code := call[openMethod](at[lib.Tsqlite3_vfs](unixVFS).FxOpen)(tls, unixVFS, name, file, flags, outFlags)
	if code != lib.SQLITE_OK || flags&(lib.SQLITE_OPEN_MAIN_DB|lib.SQLITE_OPEN_WAL) == 0 {
		return code
	}
	f := at[lib.TunixFile](file)
	if ours := methodsFor(tls, f.FpMethod); ours != 0 {
		*stateOf(file) = fileState{methods: at[lib.Tsqlite3_io_methods](f.FpMethod)}
		f.FpMethod = ours
	}
	return code
}

// methodsFor returns our methods in place of those of SQLite, 0 without memory.
func methodsFor(tls *libc.TLS, theirs uintptr) uintptr {
	methodsMu.Lock()
	defer methodsMu.Unlock()
	ours := ourMethods[theirs]
	if ours == 0 {
		if ours = libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(lib.Tsqlite3_io_methods{}))); ours == 0 {
			return 0
		}
		m := at[lib.Tsqlite3_io_methods](ours)
		*m = *at[lib.Tsqlite3_io_methods](theirs)
		m.FxWrite, m.FxTruncate, m.FxSync = pointerTo(writeFile), pointerTo(truncateFile), pointerTo(syncFile)
		ourMethods[theirs] = ours
	}
	return ours
}

func writeFile(tls *libc.TLS, file, from uintptr, n int32, offset lib.Tsqlite3_int64) int32 {
	state := stateOf(file)
	state.synced = false
	return call[writeMethod](state.methods.FxWrite)(tls, file, from, n, offset)
}

func truncateFile(tls *libc.TLS, file uintptr, size lib.Tsqlite3_int64) int32 {
	state := stateOf(file)
	state.synced = false
	return call[truncateMethod](state.methods.FxTruncate)(tls, file, size)
}

func syncFile(tls *libc.TLS, file uintptr, flags int32) int32 {
	f, state := at[lib.TunixFile](file), stateOf(file)
	if state.synced {
		return lib.SQLITE_OK
	}
	if f.FctrlFlags&lib.UNIXFILE_DIRSYNC != 0 {
		// A new file: its name in the directory must be synced too.
		return call[syncMethod](state.methods.FxSync)(tls, file, flags)
	}
	err := unix.Fdatasync(int(f.Fh))
	for errors.Is(err, unix.EINTR) {
		err = unix.Fdatasync(int(f.Fh))
	}
	if err != nil {
		var errno unix.Errno
		if errors.As(err, &errno) {
			f.FlastErrno = int32(errno)
		}
		return lib.SQLITE_IOERR_FSYNC
	}
	state.synced = true
	return lib.SQLITE_OK
}
