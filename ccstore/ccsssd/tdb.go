package ccsssd

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Places and values in a TDB file. It has the byte order of the machine.
const (
	tdbFood       = "TDB file\n"
	versionAt     = 32
	hashSizeAt    = 36
	recoveryAt    = 44
	chainsAt      = 168 + 4 // after the header and the list of free records
	recordLen     = 24      // next, rec_len, key_len, data_len, full_hash, magic
	tdbVersion    = 0x26011967 + 6
	magicUsed     = 0x26011999
	magicRecovery = 0xf53bc0e7
)

var errFormat = errors.New("it is no database of sssd_kcm, or damaged")

// records calls visit with the key and the data of each record. It takes no more steps
// than there is room for records.
func records(b []byte, visit func(key, data []byte) error) error {
	word := func(at uint64) (uint32, bool) {
		if at+4 > uint64(len(b)) {
			return 0, false
		}
		return binary.NativeEndian.Uint32(b[at:]), true
	}
	if len(b) < chainsAt || string(b[:len(tdbFood)]) != tdbFood || binary.NativeEndian.Uint32(b[versionAt:]) != tdbVersion {
		return errFormat
	}
	recovery, _ := word(recoveryAt)
	if magic, _ := word(uint64(recovery) + recordLen - 4); recovery != 0 && magic == magicRecovery {
		return errors.New("a transaction is not finished; start sssd_kcm once, which undoes it")
	}
	chains, _ := word(hashSizeAt)
	if uint64(chains) > uint64(len(b))/4 {
		return errFormat
	}
	left := len(b) / recordLen
	for i := range uint64(chains) {
		at, ok := word(chainsAt + 4*i)
		for ; ok && at != 0; left-- {
			if left == 0 || uint64(at)+recordLen > uint64(len(b)) {
				return errFormat
			}
			head := b[at:]
			next, keyLen, dataLen, magic := binary.NativeEndian.Uint32(head), binary.NativeEndian.Uint32(head[8:]), binary.NativeEndian.Uint32(head[12:]), binary.NativeEndian.Uint32(head[20:])
			body := head[recordLen:]
			if uint64(keyLen)+uint64(dataLen) > uint64(len(body)) {
				return fmt.Errorf("%w: a record is longer than the file", errFormat)
			}
			if magic == magicUsed {
				if err := visit(body[:keyLen], body[keyLen:keyLen+dataLen]); err != nil {
					return err
				}
			}
			at = next
		}
	}
	return nil
}
