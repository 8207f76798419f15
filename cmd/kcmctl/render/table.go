package render

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"kcmd.org/kcmd/safetext"
)

// A cell is the text of a row in one column.
type cell struct {
	text   string
	colour colour
}

// A table has rows with the same number of cells. Its first row is the head.
type table struct{ rows [][]cell }

func newTable(heads ...string) *table {
	t := new(table)
	row := make([]cell, len(heads))
	for i, head := range heads {
		row[i] = cell{head, bold}
	}
	t.rows = append(t.rows, row)
	return t
}

// add adds a row. A cell is a cell, or a string without a colour.
func (t *table) add(cells ...any) {
	row := make([]cell, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case cell:
			row[i] = c
		case string:
			row[i] = cell{text: c}
		}
	}
	t.rows = append(t.rows, row)
}

// table writes a table, its columns two spaces apart.
func (p *Page) table(t *table) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], width(safetext.Escape(c.text)))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		gap := 0
		for i, c := range row {
			if c.text != "" {
				line.WriteString(strings.Repeat(" ", gap))
				gap = 0
				line.WriteString(string(p.paint(c.colour, c.text)))
			}
			gap += widths[i] - width(safetext.Escape(c.text)) + 2
		}
		p.printf("%s\n", styled(line.String()))
	}
}

// width returns the number of columns that text takes on a terminal. East Asian
// characters take two.
func width(text string) int {
	n := utf8.RuneCountInString(text)
	for _, r := range text {
		switch {
		case unicode.Is(unicode.Mn, r):
			n--
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
			n++
		}
	}
	return n
}
