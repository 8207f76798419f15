package guard

// Types of messages of the service.
const (
	Reply  = methodReturn
	Error  = errorReply
	Signal = signalMessage
)

// Types of messages.
const (
	methodCall byte = 1 + iota
	methodReturn
	errorReply
	signalMessage
)

// Flags of messages. No other one is let through.
const (
	noReplyExpected byte = 1 << iota
	noAutoStart
	allowInteractiveAuthorization

	knownFlags = noReplyExpected | noAutoStart | allowInteractiveAuthorization
)

// Fields of a header.
const (
	fieldPath byte = 1 + iota
	fieldInterface
	fieldMember
	fieldErrorName
	fieldReplySerial
	fieldDestination
	fieldSender
	fieldSignature
	fieldUnixFDs
	fieldEnd
)

// fieldTypes are the types that the specification gives the fields.
var fieldTypes = [fieldEnd]string{"", "o", "s", "s", "s", "u", "s", "s", "g", "u"}

// fixedHeader is the length of a header up to and with the length of the fields.
const fixedHeader = 16

// A header is the header of a message.
type header struct {
	order  order
	kind   byte
	flags  byte
	body   uint32 // its length
	serial uint32

	path        string
	iface       string
	member      string
	errorName   string
	replySerial uint32
	destination string
	sender      string
	signature   string
	fds         uint32
}

// parseHeader parses a whole header with its padding. It skips unknown fields, as
// the specification requires. It returns the fault of the header, or "".
func parseHeader(b []byte) (h header, bad string) {
	h = header{order: orderOf(b[0]), kind: b[1], flags: b[2]}
	d := &decoder{order: h.order, b: b, at: 4}
	h.body, h.serial = d.uint32(), d.uint32()
	end := fixedHeader + uint64(d.uint32())
	var seen [fieldEnd]bool
	for uint64(d.at) < end && d.bad == "" {
		d.align(8)
		h.field(d, &seen)
	}
	if uint64(d.at) != end {
		d.fail("header fields of a wrong length")
	}
	d.align(8)
	if d.at != len(b) {
		d.fail("header of a wrong length")
	}
	if d.bad == "" {
		d.bad = h.check()
	}
	return h, d.bad
}

func (h *header) field(d *decoder, seen *[fieldEnd]bool) {
	code, t := d.byte(), d.signature()
	switch {
	case d.bad != "":
		return
	case code == 0:
		d.fail("header field 0")
		return
	case code >= fieldEnd:
		if !isComplete(t) {
			d.fail("header field without a single type")
			return
		}
		d.value(t)
		return
	case t != fieldTypes[code] || seen[code]:
		d.fail("header field of a wrong type, or repeated")
		return
	}
	seen[code] = true
	switch code {
	case fieldReplySerial:
		h.replySerial = d.uint32()
	case fieldSignature:
		h.signature = d.signature()
	case fieldUnixFDs:
		h.fds = d.uint32()
	case fieldPath:
		h.path = d.path()
	default:
		*h.texts()[code] = d.string()
	}
}

// texts returns the fields that are strings or paths.
func (h *header) texts() [fieldEnd]*string {
	return [fieldEnd]*string{
		fieldPath: &h.path, fieldInterface: &h.iface, fieldMember: &h.member,
		fieldErrorName: &h.errorName, fieldDestination: &h.destination, fieldSender: &h.sender,
	}
}

// check returns the fault of the fields, or "": an invalid value, or the lack of a
// field that this type of message requires.
func (h *header) check() string {
	switch {
	case h.serial == 0:
		return "serial 0"
	case h.iface != "" && !isInterface(h.iface):
		return "invalid interface name"
	case h.member != "" && !isMember(h.member):
		return "invalid member name"
	case h.errorName != "" && !isInterface(h.errorName):
		return "invalid error name"
	case len(h.sender) > maxName || len(h.destination) > maxName:
		return "bus name that is too long"
	case h.body > 0 && h.signature == "":
		return "body without a signature"
	}
	var missing bool
	switch h.kind {
	case methodCall:
		missing = h.path == "" || h.member == ""
	case methodReturn:
		missing = h.replySerial == 0
	case errorReply:
		missing = h.replySerial == 0 || h.errorName == ""
	case signalMessage:
		missing = h.path == "" || h.iface == "" || h.member == ""
	default:
		return "unknown type of message"
	}
	if missing {
		return "missing header field"
	}
	return ""
}

// append appends the header to b, which is empty, with all fields that are set
// but that for the number of file descriptors.
func (h *header) append(b []byte) []byte {
	first := byte('l')
	if h.order == orderOf('B') {
		first = 'B'
	}
	b = append(b, first, h.kind, h.flags, 1)
	b = h.order.AppendUint32(b, h.body)
	b = h.order.AppendUint32(b, h.serial)
	b = h.order.AppendUint32(b, 0) // for now
	for code, text := range h.texts() {
		if text != nil && *text != "" {
			b = appendString(appendField(b, byte(code)), h.order, *text)
		}
	}
	if h.replySerial != 0 {
		b = h.order.AppendUint32(appendField(b, fieldReplySerial), h.replySerial)
	}
	if h.signature != "" {
		b = append(appendField(b, fieldSignature), byte(len(h.signature)))
		b = append(append(b, h.signature...), 0)
	}
	h.order.PutUint32(b[fixedHeader-4:], uint32(len(b)-fixedHeader))
	return pad(b, 8)
}

// appendField appends what comes before the value of a field.
func appendField(b []byte, code byte) []byte {
	return append(pad(b, 8), code, 1, fieldTypes[code][0], 0)
}

func appendString(b []byte, o order, s string) []byte {
	b = o.AppendUint32(pad(b, 4), uint32(len(s)))
	return append(append(b, s...), 0)
}

func pad(b []byte, to int) []byte {
	return append(b, make([]byte, padding(len(b), to))...)
}
