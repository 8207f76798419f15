package sqlite

import (
	"encoding/binary"
	"errors"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/checksum"
)

// errSum is the error for a row that kcmd did not write.
var errSum = errors.New("its checksum is wrong: the file was damaged or changed")

// cacheSum returns the checksum of a cache, without the values that ccstore computes
// from its credentials.
func cacheSum(owner []byte, r *ccstore.CacheRecord) int64 {
	return int64(checksum.Sum(0).Bytes(owner).Uint64(r.ID).Bytes(r.UUID[:]).Text(r.Name).Bytes(r.Principal).
		Uint64(uint64(r.KDCOffset)).Text(r.Label).Uint64(uint64(r.Changed)).Text(r.Renewal))
}

// credentialSum returns the checksum of a credential of a generation, of its data as
// stored.
func credentialSum(owner []byte, generation int64, r *ccstore.CredentialRecord) int64 {
	return int64(checksum.Sum(0).Bytes(owner).Uint64(uint64(generation)).Uint64(r.Seq).Bytes(r.UUID[:]).Bytes(r.Data))
}

// checkSum compares the checksum of a row with the one stored in it.
func checkSum(stored, sum int64) error {
	if stored != sum {
		return errSum
	}
	return nil
}

// ownerBytes encodes an owner; each owner has another encoding.
func ownerBytes(o ccstore.Owner) []byte {
	b := binary.BigEndian.AppendUint32(nil, o.UID)
	for _, s := range []string{o.Namespace, o.Level} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}
