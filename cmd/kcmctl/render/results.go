package render

import (
	"strings"

	"kcmd.org/kcmd/cmd/kcmctl/transfer"
)

// Variable writes a line that sets and exports a variable in a shell (POSIX).
func (p *Page) Variable(name, value string) {
	p.printf("%s='%s'; export %s\n", name, styled(strings.ReplaceAll(value, "'", `'\''`)), name)
}

// reasons say why a cache is skipped.
var reasons = map[string]string{
	transfer.Expired:    "all its tickets have expired",
	transfer.Empty:      "it has no tickets",
	transfer.Exists:     "the same tickets are there",
	transfer.Newer:      "the tickets there are newer",
	transfer.OneOnly:    "there is room for one cache only",
	transfer.Unreadable: "it cannot be read",
}

// Results writes what became of each cache.
func (p *Page) Results(results []transfer.Result, dryRun bool) {
	if len(results) == 0 {
		p.printf("no caches\n")
	}
	words := map[string]string{transfer.Taken: "copied to", transfer.Replaced: "replaces the older tickets in"}
	if dryRun {
		words = map[string]string{transfer.Taken: "would be copied to", transfer.Replaced: "would replace the older tickets in"}
	}
	for _, r := range results {
		p.printf("%s", r.Source)
		if r.Principal != "" {
			p.printf(" of %s", r.Principal)
		}
		switch r.Outcome {
		case transfer.Skipped:
			p.printf(": %s, %s", p.paint(yellow, "skipped"), reasons[r.Reason])
			if r.Target != "" {
				p.printf(" (%s)", r.Target)
			}
		case transfer.Failed:
			p.printf(": %s", p.paint(red, "failed"))
		default:
			target := r.Target
			if target == "" {
				target = "a new cache"
			}
			p.printf(": %s %s", p.paint(green, words[r.Outcome]), target)
		}
		if r.Default {
			p.printf(", the default cache")
		}
		if r.Removed {
			p.printf(", removed here")
		}
		if r.Error != "" {
			p.printf(": %s", r.Error)
		}
		p.printf("\n")
	}
}
