package sqlite

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"kcmd.org/kcmd/ccstore"
)

// errSum says that a row is not the one that was written.
var errSum = errors.New("its checksum is wrong: the file was damaged or changed")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// cacheSum returns the checksum of a cache of owner.
func cacheSum(owner ccstore.Owner, r *ccstore.CacheRecord) int64 {
	b := appendOwner(nil, owner)
	b = binary.BigEndian.AppendUint64(b, r.ID)
	b = append(b, r.UUID[:]...)
	b = appendField(b, r.Name)
	b = appendField(b, r.Principal)
	b = binary.BigEndian.AppendUint32(b, uint32(r.KDCOffset))
	b = appendField(b, r.Label)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Changed))
	return int64(crc32.Checksum(b, castagnoli))
}

// credentialSum returns the checksum of a credential of owner, as it is stored.
func credentialSum(owner ccstore.Owner, r *ccstore.CredentialRecord) int64 {
	b := appendOwner(nil, owner)
	b = binary.BigEndian.AppendUint64(b, r.Cache)
	b = binary.BigEndian.AppendUint64(b, r.Seq)
	b = append(b, r.UUID[:]...)
	return int64(crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, r.Data))
}

func appendOwner(b []byte, o ccstore.Owner) []byte {
	b = appendField(b, o.Namespace)
	b = binary.BigEndian.AppendUint32(b, o.UID)
	return appendField(b, o.Level)
}

// appendField appends a field with its length, so that no byte can move from
// one to the next.
func appendField[T string | []byte](b []byte, field T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(field)))
	return append(b, field...)
}

// checkSum compares the checksum of a row with the one stored in it, if there
// is one.
func checkSum(stored sql.NullInt64, sum int64) error {
	if stored.Valid && stored.Int64 != sum {
		return errSum
	}
	return nil
}
