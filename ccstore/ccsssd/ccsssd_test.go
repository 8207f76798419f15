package ccsssd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/storetest"
)

const alice = "alice@LAB.TEST"

const (
	uuid1 = "8b636949-500a-4cb8-b511-51f88cdd7b5d"
	uuid2 = "c1509029-e5e5-4702-a088-b5837f188d77"
)

func contents() *ccache.Contents {
	return &ccache.Contents{
		Principal: storetest.Principal(alice), KDCOffset: -7,
		Credentials: []*ccache.Credential{storetest.Config(alice, "fast_avail", "yes"), storetest.TGT(alice), storetest.Ticket(alice, "host/a@LAB.TEST")},
	}
}

// secret encodes a cache as sssd_kcm does, with room at its end.
func secret(c *ccache.Contents) []byte {
	order := binary.NativeEndian
	b := append(order.AppendUint32(nil, uint32(c.KDCOffset)), 1)
	data := func(d string) { b = append(order.AppendUint32(b, uint32(len(d))), d...) }
	data(c.Principal.Realm)
	b = order.AppendUint32(b, uint32(c.Principal.NameType))
	b = order.AppendUint32(b, uint32(len(c.Principal.Components)))
	for _, component := range c.Principal.Components {
		data(component)
	}
	b = order.AppendUint32(b, uint32(len(c.Credentials)))
	for _, cred := range slices.Backward(c.Credentials) {
		b = append(b, make([]byte, 16)...)
		data(string(cred.Bytes()))
	}
	return append(b, make([]byte, 100)...)
}

// pack encodes a record of LDB.
func pack(dn string, secret []byte) []byte {
	order := binary.LittleEndian
	b := order.AppendUint32(nil, packVersion)
	b = append(order.AppendUint32(b, 2), dn+"\x00creationTime\x00"...)
	b = append(order.AppendUint32(order.AppendUint32(b, 1), 2), "17\x00secret\x00"...)
	b = append(order.AppendUint32(order.AppendUint32(b, 1), uint32(len(secret))), secret...)
	return append(b, 0)
}

// database encodes a TDB of two chains, the records in the second.
func database(packed map[string][]byte) []byte {
	order := binary.NativeEndian
	b := make([]byte, chainsAt+8)
	copy(b, tdbFood)
	order.PutUint32(b[versionAt:], tdbVersion)
	order.PutUint32(b[hashSizeAt:], 2)
	next := uint32(0)
	for dn, data := range packed {
		at := uint32(len(b))
		key := "DN=CN" + dn[2:] + "\x00"
		for _, word := range []uint32{next, uint32(len(key) + len(data)), uint32(len(key)), uint32(len(data)), 0, magicUsed} {
			b = order.AppendUint32(b, word)
		}
		b = append(append(b, key...), data...)
		next = at
	}
	order.PutUint32(b[chainsAt+4:], next)
	return b
}

const tree = ",cn=ccache,cn=1000,cn=persistent,cn=kcm"

func example() []byte {
	standard := "cn=default,cn=1000,cn=persistent,cn=kcm"
	return database(map[string][]byte{
		standard:                                 pack(standard, []byte(uuid2+"\x00")),
		"cn=" + uuid1 + "-1000" + tree:           pack("cn="+uuid1+"-1000"+tree, secret(contents())),
		"cn=" + uuid2 + "-1000:b" + tree:         pack("cn="+uuid2+"-1000:b"+tree, secret(contents())),
		"cn=ccache,cn=1000,cn=persistent,cn=kcm": pack("cn=ccache,cn=1000,cn=persistent,cn=kcm", nil),
	})
}

func TestParse(t *testing.T) {
	users, err := Parse(example())
	if err != nil || len(users) != 1 || len(users[1000]) != 2 {
		t.Fatalf("%v: %v", users, err)
	}
	for _, c := range users[1000] {
		if c.Err != nil || !c.Equal(contents()) || c.Default != (c.Name == "1000:b") {
			t.Errorf("%s: default %v, %v", c.Name, c.Default, c.Err)
		}
	}
}

// A damaged cache does not hide the others, and a damaged table is an error.
func TestDamaged(t *testing.T) {
	bad, good := "cn="+uuid1+"-1000"+tree, "cn="+uuid2+"-1000:b"+tree
	users, err := Parse(database(map[string][]byte{bad: pack(bad, secret(contents())[:40]), good: pack(good, secret(contents()))}))
	if err != nil || len(users[1000]) != 2 {
		t.Fatalf("%v: %v", users, err)
	}
	for _, c := range users[1000] {
		if (c.Err == nil) != (c.Name == "1000:b") || c.Err != nil && !errors.Is(c.Err, ccache.ErrFormat) {
			t.Errorf("%s: %v", c.Name, c.Err)
		}
	}
	order := binary.NativeEndian
	for name, damage := range map[string]func(b []byte) []byte{
		"empty":    func([]byte) []byte { return nil },
		"no TDB":   func(b []byte) []byte { b[0] = 'x'; return b },
		"chains":   func(b []byte) []byte { order.PutUint32(b[hashSizeAt:], 0xffffffff); return b },
		"cut off":  func(b []byte) []byte { return b[:len(b)-1] },
		"far away": func(b []byte) []byte { order.PutUint32(b[chainsAt+4:], 0xfffffff0); return b },
		"a circle": func(b []byte) []byte { at := order.Uint32(b[chainsAt+4:]); order.PutUint32(b[at:], at); return b },
		"unfinished": func(b []byte) []byte {
			order.PutUint32(b[recoveryAt:], uint32(len(b)))
			b = append(b, make([]byte, recordLen)...)
			order.PutUint32(b[len(b)-4:], magicRecovery)
			return b
		},
	} {
		if users, err := Parse(damage(example())); err == nil {
			t.Errorf("%s: %v", name, users)
		}
	}
}

func TestParseDN(t *testing.T) {
	for dn, want := range map[string]string{
		"cn=" + uuid1 + "-1000" + tree:                 fmt.Sprint(uuid1+"-1000", " ", 1000, true),
		"cn=default,cn=1001,cn=persistent,cn=kcm":      fmt.Sprint("", " ", 1001, true),
		"cn=ccache,cn=1000,cn=persistent,cn=kcm":       fmt.Sprint("", " ", 1000, false),
		"cn=x,cn=ccache,cn=alice,cn=persistent,cn=kcm": fmt.Sprint("", " ", 0, false),
		"cn=1000,cn=persistent,cn=kcm":                 fmt.Sprint("", " ", 0, false),
		"cn=x,cn=secrets":                              fmt.Sprint("", " ", 0, false),
	} {
		name, _, uid, ok := parseDN(dn)
		if !ok {
			name = ""
		}
		if got := fmt.Sprint(name, " ", uid, ok); got != want {
			t.Errorf("%s: %s, want %s", dn, got, want)
		}
	}
}

// FuzzParse parses any bytes.
func FuzzParse(f *testing.F) {
	f.Add(example())
	f.Add(database(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		users, _ := Parse(b)
		for _, list := range users {
			for _, c := range list {
				if (c.Contents == nil) != (c.Err != nil) {
					t.Fatalf("%v and %v", c.Contents, c.Err)
				}
			}
		}
	})
}

// FuzzCache decodes any secret.
func FuzzCache(f *testing.F) {
	f.Add(secret(contents()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseCache(b); err == nil && c.Principal.Realm == "" && len(b) < 9 {
			t.Fatal("a cache of nothing")
		}
	})
}
