package describe

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/safetext"
)

// WriteTable writes c as lines of text, with a table of the tickets of each cache.
// Characters that a terminal could obey are escaped. Times are local times.
func (c *Collection) WriteTable(w io.Writer) error {
	out := &printer{w: w}
	out.printf("Collection of %s", ccstore.Owner{Namespace: c.Namespace, UID: c.UID, Level: c.Level}.String())
	if c.Default != "" {
		out.printf(", default KCM:%s", c.Default)
	}
	out.printf("\n")
	if c.Error != "" {
		out.printf("  cannot be read: %s\n", c.Error)
	}
	for i := range c.Caches {
		out.cache(&c.Caches[i])
	}
	out.printf("\n")
	return out.err
}

// A printer writes lines and keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

// printf escapes its string arguments. The format itself may contain newlines.
func (p *printer) printf(format string, args ...any) {
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = safetext.Escape(s)
		}
	}
	if _, err := fmt.Fprintf(p.w, format, args...); p.err == nil {
		p.err = err
	}
}

func (p *printer) cache(c *Cache) {
	p.printf("  KCM:%s", c.Name)
	if c.Principal != "" {
		p.printf(" of %s", c.Principal)
	}
	p.printf("\n")
	p.printf("    %s, changed %s, expires %s", c.UUID, localTime(c.Changed), localTime(c.Expires))
	if c.KDCOffset != 0 {
		p.printf(", KDC's clock %+d s", c.KDCOffset)
	}
	if c.Label != "" {
		p.printf(", label %s", c.Label)
	}
	p.printf("\n")
	if c.Error != "" {
		p.printf("    %s\n", c.Error)
	}
	p.tickets(c.Credentials)
	for _, cred := range c.Credentials {
		switch {
		case cred.Error != "":
			p.printf("    credential %s %s\n", cred.UUID, cred.Error)
		case cred.Setting != "":
			p.printf("    setting %s (%d bytes)\n", cred.Setting, cred.TicketSize)
		}
	}
}

// tickets writes the table of the tickets among the credentials.
func (p *printer) tickets(list []Credential) {
	table := tabwriter.NewWriter(p.w, 0, 8, 2, ' ', 0)
	columns := &printer{w: table}
	head := false
	for _, c := range list {
		if c.Error != "" || c.Setting != "" {
			continue
		}
		if !head {
			columns.printf("    VALID FROM\tENDS\tRENEW UNTIL\tKEY\tBYTES\tSERVER\tFLAGS\n")
			head = true
		}
		start := c.StartTime
		if start == 0 {
			start = c.AuthTime
		}
		columns.printf("    %s\t%s\t%s\t%s\t%d\t%s\t%s\n", localTime(int64(start)), localTime(int64(c.EndTime)), localTime(int64(c.RenewUntil)),
			c.EnctypeName, c.Size, c.Server, strings.Join(c.Flags, ","))
	}
	if err := table.Flush(); p.err == nil {
		p.err = err
	}
}

// localTime formats a time in seconds since 1970 as local time.
func localTime(seconds int64) string {
	if seconds == 0 {
		return "-"
	}
	return time.Unix(seconds, 0).Format(time.RFC3339)
}
