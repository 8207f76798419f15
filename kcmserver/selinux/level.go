package selinux

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// errLabel is wrapped by every error for text that is not a label.
var errLabel = errors.New("malformed SELinux label")

// A level is a sensitivity with a set of categories.
type level struct {
	sensitivity int
	categories  *big.Int // bit n: category n
}

// maxCategory limits the numbers of categories. Policies have 1024 categories.
const maxCategory = 1 << 16

// dominates reports whether a is at least as high as b: its sensitivity is not
// lower, and it has all of b's categories.
func (a level) dominates(b level) bool {
	return a.sensitivity >= b.sensitivity && new(big.Int).AndNot(b.categories, a.categories).Sign() == 0
}

// Level returns the low level of a label, as text: "s0:c1,c2". It is empty for
// a label of a policy without levels.
func Level(label string) (string, error) {
	low, _, err := splitRange(label)
	return low, err
}

// splitRange returns the low and the high level of a label as text.
func splitRange(label string) (low, high string, err error) {
	parts := strings.SplitN(label, ":", 4)
	switch {
	case len(parts) < 3:
		return "", "", fmt.Errorf("%w %q", errLabel, label)
	case len(parts) == 3:
		return "", "", nil
	}
	low, high, isRange := strings.Cut(parts[3], "-")
	if !isRange {
		high = low
	}
	return low, high, nil
}

// parseRange returns the low and the high level of a label.
func parseRange(label string) (low, high level, err error) {
	l, h, err := splitRange(label)
	if err != nil {
		return level{}, level{}, err
	}
	if low, err = parseLevel(l); err != nil {
		return level{}, level{}, err
	}
	high, err = parseLevel(h)
	return low, high, err
}

// parseLevel reads "s0" or "s0:c1,c5.c7". Empty text is the only level of a policy
// without levels.
func parseLevel(text string) (level, error) {
	l := level{categories: new(big.Int)}
	if text == "" {
		return l, nil
	}
	sensitivity, list, hasCategories := strings.Cut(text, ":")
	var err error
	if l.sensitivity, err = number(sensitivity, 's'); err != nil {
		return level{}, err
	}
	if !hasCategories {
		return l, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRun := strings.Cut(part, ".")
		if !isRun {
			last = first
		}
		from, err := number(first, 'c')
		if err != nil {
			return level{}, err
		}
		to, err := number(last, 'c')
		if err != nil {
			return level{}, err
		}
		if from > to || to > maxCategory {
			return level{}, fmt.Errorf("%w: categories %q", errLabel, part)
		}
		for n := from; n <= to; n++ {
			l.categories.SetBit(l.categories, n, 1)
		}
	}
	return l, nil
}

// number reads the number in "s0" or "c1023".
func number(text string, prefix byte) (int, error) {
	if text == "" || text[0] != prefix {
		return 0, fmt.Errorf("%w: %q, want %c and a number", errLabel, text, prefix)
	}
	n, err := strconv.ParseUint(text[1:], 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%w: %q, want %c and a number", errLabel, text, prefix)
	}
	return int(n), nil
}

// inRange reports whether the level of an object lies within the range of a
// peer: the object's low level dominates the peer's low one and is dominated by
// the peer's high one.
func inRange(peer, object string) (bool, error) {
	low, high, err := parseRange(peer)
	if err != nil {
		return false, err
	}
	at, _, err := parseRange(object)
	if err != nil {
		return false, err
	}
	return at.dominates(low) && high.dominates(at), nil
}
