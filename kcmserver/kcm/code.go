package kcm

import "strconv"

// A Code is the result of an operation: 0, a com_err code of libkrb5, or an
// errno value. A Code other than 0 is an error.
type Code int32

// The codes that a KCM server sends: errno values, and codes of krb5_err.et of MIT
// krb5. A comment has the text of the code, or what libkrb5 does in place of showing
// the text.
const (
	OK          Code = 0
	EIO         Code = 5           // Input/output error
	ENOSPC      Code = 28          // No space left on device
	EROFS       Code = 30          // Read-only file system
	EDQUOT      Code = 122         // Disk quota exceeded
	CCBadName   Code = -1765328245 // KRB5_CC_BADNAME: Credential cache name malformed
	CCNotFound  Code = -1765328243 // KRB5_CC_NOTFOUND: Matching credential not found
	CCEnd       Code = -1765328242 // KRB5_CC_END: ends an iteration, or skips an element
	CCIO        Code = -1765328191 // KRB5_CC_IO: MIT falls back to older requests
	FCCPerm     Code = -1765328190 // KRB5_FCC_PERM: Credentials cache permissions incorrect
	FCCNoFile   Code = -1765328189 // KRB5_FCC_NOFILE: Credentials cache not found
	FCCInternal Code = -1765328188 // KRB5_FCC_INTERNAL: MIT falls back to older requests
	CCWrite     Code = -1765328187 // KRB5_CC_WRITE: Error writing to credentials cache
	CCNoMem     Code = -1765328186 // KRB5_CC_NOMEM: No more memory to allocate
	CCFormat    Code = -1765328185 // KRB5_CC_FORMAT: Bad format in credentials cache
)

var codeNames = map[Code]string{
	OK:          "OK",
	EIO:         "EIO",
	ENOSPC:      "ENOSPC",
	EROFS:       "EROFS",
	EDQUOT:      "EDQUOT",
	CCBadName:   "KRB5_CC_BADNAME",
	CCNotFound:  "KRB5_CC_NOTFOUND",
	CCEnd:       "KRB5_CC_END",
	CCIO:        "KRB5_CC_IO",
	FCCPerm:     "KRB5_FCC_PERM",
	FCCNoFile:   "KRB5_FCC_NOFILE",
	FCCInternal: "KRB5_FCC_INTERNAL",
	CCWrite:     "KRB5_CC_WRITE",
	CCNoMem:     "KRB5_CC_NOMEM",
	CCFormat:    "KRB5_CC_FORMAT",
}

// String returns the name of the code in libkrb5's headers, or its number.
func (c Code) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return strconv.Itoa(int(c))
}

// Error returns what String does.
func (c Code) Error() string { return c.String() }
