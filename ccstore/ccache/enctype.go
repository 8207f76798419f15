package ccache

import "strconv"

// enctypeNames are those of the IANA registry "Kerberos Encryption Type Numbers".
var enctypeNames = map[int16]string{
	1:  "des-cbc-crc",
	2:  "des-cbc-md4",
	3:  "des-cbc-md5",
	16: "des3-cbc-sha1-kd",
	17: "aes128-cts-hmac-sha1-96",
	18: "aes256-cts-hmac-sha1-96",
	19: "aes128-cts-hmac-sha256-128",
	20: "aes256-cts-hmac-sha384-192",
	23: "rc4-hmac",
	24: "rc4-hmac-exp",
	25: "camellia128-cts-cmac",
	26: "camellia256-cts-cmac",
}

// EnctypeName returns the name of an encryption type, or its number if it has
// none.
func EnctypeName(t int16) string {
	if name, ok := enctypeNames[t]; ok {
		return name
	}
	return strconv.Itoa(int(t))
}
