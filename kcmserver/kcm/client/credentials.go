package client

import (
	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
)

// Store adds a credential to a cache. It replaces the same credential, if the cache
// has it (see ccache.Credential.Replaces).
func (c *Client) Store(cache string, cred *ccache.Credential) error {
	return c.do(kcm.OpStore, append(name(cache), cred.Bytes()...))
}

// Retrieve returns the first stored credential that m matches. It fails with
// kcm.CCNotFound if there is none, and with kcm.FCCInternal if the client has to
// list the credentials and find it itself.
func (c *Client) Retrieve(cache string, m *ccache.Match) (*ccache.Credential, error) {
	return c.getCredential(kcm.OpRetrieve, kcm.AppendMatch(name(cache), m))
}

// RemoveCred removes every credential that m matches. It succeeds even if there is
// none.
func (c *Client) RemoveCred(cache string, m *ccache.Match) error {
	return c.do(kcm.OpRemoveCred, kcm.AppendMatch(name(cache), m))
}

// GetCredList returns all credentials of a cache, including configuration entries,
// in the order of storing.
func (c *Client) GetCredList(cache string) ([]*ccache.Credential, error) {
	d, err := c.get(kcm.OpGetCredList, name(cache))
	if err != nil {
		return nil, err
	}
	return d.CredentialList(), checked(kcm.OpGetCredList, d)
}

// GetCredUUIDList returns the UUIDs of all credentials of a cache in the order
// of storing, for GetCredByUUID on the same connection.
func (c *Client) GetCredUUIDList(cache string) ([]uuid.UUID, error) {
	return c.getUUIDs(kcm.OpGetCredUUIDList, name(cache))
}

// GetCredByUUID returns one credential of a cache. It fails with kcm.CCEnd if
// there is no such credential.
func (c *Client) GetCredByUUID(cache string, id uuid.UUID) (*ccache.Credential, error) {
	return c.getCredential(kcm.OpGetCredByUUID, append(name(cache), id[:]...))
}

// getCredential sends a request whose reply is a credential.
func (c *Client) getCredential(op kcm.Opcode, args []byte) (*ccache.Credential, error) {
	d, err := c.get(op, args)
	if err != nil {
		return nil, err
	}
	return d.Credential("credential"), checked(op, d)
}
