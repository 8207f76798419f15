package doctor

import (
	"fmt"
	"maps"
	"slices"
)

// accounts is whether there are caches of users who are gone.
func (s *System) accounts() []Finding {
	var findings []Finding
	for _, uid := range slices.Sorted(maps.Keys(s.Strays)) {
		findings = append(findings, finding("accounts", Warning, fmt.Sprintf("uid %d has %s, but no account; if the user is gone, destroy that", uid, caches(s.Strays[uid]))).
			run(fmt.Sprintf("kcmctl destroy --all --uid %d", uid)))
	}
	return findings
}

func caches(n int) string {
	if n == 1 {
		return "1 cache"
	}
	return fmt.Sprintf("%d caches", n)
}
