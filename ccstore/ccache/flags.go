package ccache

// TicketFlags is the 32-bit flag word of a ticket, first bit of the ASN.1 bit
// string highest (RFC 4120, section 5.3).
type TicketFlags uint32

// The ticket flags of RFC 4120, RFC 6112 (anonymous) and RFC 6806 (enc-pa-rep).
const (
	FlagForwardable          TicketFlags = 0x40000000
	FlagForwarded            TicketFlags = 0x20000000
	FlagProxiable            TicketFlags = 0x10000000
	FlagProxy                TicketFlags = 0x08000000
	FlagMayPostdate          TicketFlags = 0x04000000
	FlagPostdated            TicketFlags = 0x02000000
	FlagInvalid              TicketFlags = 0x01000000
	FlagRenewable            TicketFlags = 0x00800000
	FlagInitial              TicketFlags = 0x00400000
	FlagPreAuthenticated     TicketFlags = 0x00200000
	FlagHWAuthenticated      TicketFlags = 0x00100000
	FlagTransitPolicyChecked TicketFlags = 0x00080000
	FlagOKAsDelegate         TicketFlags = 0x00040000
	FlagEncPARep             TicketFlags = 0x00010000
	FlagAnonymous            TicketFlags = 0x00008000
)

var flagNames = []struct {
	flag TicketFlags
	name string
}{
	{FlagForwardable, "forwardable"},
	{FlagForwarded, "forwarded"},
	{FlagProxiable, "proxiable"},
	{FlagProxy, "proxy"},
	{FlagMayPostdate, "may-postdate"},
	{FlagPostdated, "postdated"},
	{FlagInvalid, "invalid"},
	{FlagRenewable, "renewable"},
	{FlagInitial, "initial"},
	{FlagPreAuthenticated, "pre-authenticated"},
	{FlagHWAuthenticated, "hw-authenticated"},
	{FlagTransitPolicyChecked, "transit-policy-checked"},
	{FlagOKAsDelegate, "ok-as-delegate"},
	{FlagEncPARep, "enc-pa-rep"},
	{FlagAnonymous, "anonymous"},
}

// Names returns the names of the flags that are set, in the order of the bits.
// Bits without a name are left out. It is never nil.
func (f TicketFlags) Names() []string {
	names := []string{}
	for _, n := range flagNames {
		if f&n.flag != 0 {
			names = append(names, n.name)
		}
	}
	return names
}
