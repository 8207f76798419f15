package render

import (
	"fmt"
	"io"
	"time"

	"kcmd.org/kcmd/safetext"
)

// A Page is what one command prints.
type Page struct {
	W      io.Writer
	Colour bool
	Now    time.Time // in the zone in which times are shown
	err    error
}

// Err returns the first error of writing.
func (p *Page) Err() error { return p.err }

// printf escapes its string arguments. Arguments of type styled, and the format,
// are written as they are.
func (p *Page) printf(format string, args ...any) {
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = safetext.Escape(s)
		}
	}
	if _, err := fmt.Fprintf(p.W, format, args...); p.err == nil {
		p.err = err
	}
}

// A colour is a parameter of the escape sequence that selects it (ECMA-48, 8.3.117).
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

// styled is text that is escaped already, and may have colours.
type styled string

// paint returns text, escaped, in a colour if the page has colours.
func (p *Page) paint(c colour, text string) styled {
	text = safetext.Escape(text)
	if !p.Colour || c == plain || text == "" {
		return styled(text)
	}
	return styled("\x1b[" + string(c) + "m" + text + "\x1b[0m")
}
