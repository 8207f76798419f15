package helper

import "kcmd.org/kcmd/ccstore/ccache"

// Prove has a service ticket prove by a keytab that it is of the true KDC.
func Prove(c *ccache.Credential, client ccache.Principal, keytab []byte) error {
	keys, err := hostKeys(keytab, "")
	if err != nil {
		return err
	}
	return prove(c, client, keys)
}

// NFold is nFold.
var NFold = nFold
