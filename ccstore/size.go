package ccstore

import "kcmd.org/kcmd/ccstore/ccache"

// What a client can make the store hold is counted in bytes of live heap: the
// bytes that the client sent, as often as they are held, and for each structure
// around them a fixed part. The fixed parts come from BenchmarkHeld (Go 1.26,
// amd64), which measures 647 bytes of live heap for a ticket of 80 bytes, 1,935 for
// one of 1.2 KiB, and 617 for an empty cache, and the runtime takes some more for
// each ticket to wipe it; Size says 698, 1,880 and 624. TestSizeIsHeld fails if Size
// is far off.
const (
	cacheOverhead      = 620 // a Cache with its indexes, and its places in those of the collection
	credentialOverhead = 600 // a Credential and its places in the indexes
	componentOverhead  = 16  // a string of a principal
	dataOverhead       = 32  // a ccache.Address or ccache.AuthData
)

// Size returns the bytes of memory that the collection takes.
func (c *Collection) Size() int64 { return c.bytes + int64(len(c.defaultName)) }

// Size returns the bytes of memory that the cache takes.
func (c *Cache) Size() int64 {
	return cacheOverhead + int64(len(c.Name)+len(c.Label)+len(c.renewal.Text)) + principalSize(c.Principal) + c.bytes
}

// size returns the bytes of memory that the credential takes.
func (c *Credential) size() int64 {
	return credentialOverhead + int64(len(c.Bytes())) +
		principalSize(c.Client) + principalSize(c.Server) +
		dataOverhead*int64(len(c.Addresses)+len(c.AuthData))
}

func principalSize(p ccache.Principal) int64 {
	n := len(p.Realm)
	for _, component := range p.Components {
		n += componentOverhead + len(component)
	}
	return int64(n)
}
