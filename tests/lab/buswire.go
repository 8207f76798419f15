package lab

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// A BusWire is a client of a bus that sends what it is told, and reads only when it
// is asked to.
type BusWire struct {
	net.Conn
	serial uint32
}

// DialBusAs connects to the bus at an address as another user, as which only root
// can do it. Nothing takes longer than patience.
func DialBusAs(uid int, address string, patience time.Duration) (*BusWire, error) {
	c, err := DialAs(uid, strings.TrimPrefix(address, "unix:path="), patience)
	if err != nil {
		return nil, err
	}
	w := &BusWire{Conn: c}
	if err := w.begin(uid, patience); err != nil {
		c.Close()
		return nil, fmt.Errorf("cannot connect to the bus as %d: %w", uid, err)
	}
	return w, nil
}

// begin authenticates, and asks for a name.
func (w *BusWire) begin(uid int, patience time.Duration) error {
	if err := w.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\x00AUTH EXTERNAL %s\r\n", hex.EncodeToString([]byte(strconv.Itoa(uid)))); err != nil {
		return err
	}
	var answer []byte
	for !bytes.HasSuffix(answer, []byte("\r\n")) {
		b := make([]byte, 1)
		if _, err := io.ReadFull(w, b); err != nil {
			return err
		}
		answer = append(answer, b...)
	}
	if !bytes.HasPrefix(answer, []byte("OK ")) {
		return fmt.Errorf("the bus answers %q", answer)
	}
	if _, err := io.WriteString(w, "BEGIN\r\n"); err != nil {
		return err
	}
	if err := w.Send("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Hello"); err != nil {
		return err
	}
	_, err := w.Reply()
	return err
}

// Send calls a method, given with its interface, and does not wait for the reply.
func (w *BusWire) Send(destination, path, method string, args ...any) error {
	dot := strings.LastIndexByte(method, '.')
	m := &godbus.Message{
		Type: godbus.TypeMethodCall,
		Headers: map[godbus.HeaderField]godbus.Variant{
			godbus.FieldDestination: godbus.MakeVariant(destination),
			godbus.FieldPath:        godbus.MakeVariant(godbus.ObjectPath(path)),
			godbus.FieldInterface:   godbus.MakeVariant(method[:dot]),
			godbus.FieldMember:      godbus.MakeVariant(method[dot+1:]),
		},
		Body: args,
	}
	if len(args) > 0 {
		m.Headers[godbus.FieldSignature] = godbus.MakeVariant(godbus.SignatureOf(args...))
	}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		return err
	}
	w.serial++
	binary.LittleEndian.PutUint32(b.Bytes()[8:], w.serial) // godbus leaves it to its connections
	_, err := w.Write(b.Bytes())
	return err
}

// Reply reads until the reply to the latest call, and returns its values. Signals
// and earlier replies are dropped.
func (w *BusWire) Reply() ([]any, error) {
	for {
		m, err := godbus.DecodeMessage(w)
		if err != nil {
			return nil, err
		}
		if serial, _ := m.Headers[godbus.FieldReplySerial].Value().(uint32); serial != w.serial {
			continue
		}
		if m.Type == godbus.TypeError {
			return nil, godbus.Error{Name: fmt.Sprint(m.Headers[godbus.FieldErrorName].Value()), Body: m.Body}
		}
		return m.Body, nil
	}
}
