package exchange

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// header begins the only group of a message.
const header = "[sx-aes-1]"

// maxMessage is the longest message, in bytes: twelve times what the longest password
// needs.
const maxMessage = 16 << 10

// A message has numbers in network byte order.
type message struct {
	public     []byte
	secret, iv []byte // nil for none
}

// write makes a message with a public key.
func write(public []byte) string {
	return header + "\npublic=" + base64.StdEncoding.EncodeToString(public) + "\n"
}

// parse reads a message. No error has a part of it.
func parse(text string) (m message, err error) {
	if len(text) > maxMessage {
		return m, errors.New("the message is too long")
	}
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
			continue
		case line[0] == '[':
			inside = line == header
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if !found {
			return message{}, errors.New("the message is no key file")
		}
		field := m.field(strings.TrimSpace(name))
		if !inside || field == nil {
			continue
		}
		if *field != nil {
			return message{}, fmt.Errorf("the message has %s twice", strings.TrimSpace(name))
		}
		if *field, err = base64.StdEncoding.DecodeString(strings.TrimSpace(value)); err != nil {
			return message{}, fmt.Errorf("%s is not in base64", strings.TrimSpace(name))
		}
	}
	if len(m.public) == 0 || len(m.public) > primeSize {
		return message{}, errors.New("the message has no public key of " + strings.Trim(header, "[]"))
	}
	return m, nil
}

func (m *message) field(name string) *[]byte {
	switch name {
	case "public":
		return &m.public
	case "secret":
		return &m.secret
	case "iv":
		return &m.iv
	}
	return nil
}
