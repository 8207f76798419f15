package render

import "kcmd.org/kcmd/cmd/kcmctl/doctor"

// levels have the colours of findings.
var levels = map[string]colour{
	doctor.OK: green, doctor.Note: plain, doctor.Warning: yellow, doctor.Error: red,
}

// Findings writes findings, each with what to do.
func (p *Page) Findings(findings []doctor.Finding) {
	for _, f := range findings {
		p.printf("%s%*s%s\n", p.paint(levels[f.Level], f.Level), 9-len(f.Level), styled(""), f.Text)
		switch {
		case f.File != "":
			p.printf("         write to %s:\n", f.File)
		case len(f.Lines) > 0:
			p.printf("         run:\n")
		}
		for _, line := range f.Lines {
			p.printf("             %s\n", p.paint(bold, line))
		}
	}
}
