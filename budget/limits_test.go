package budget_test

import (
	"testing"

	"kcmd.org/kcmd/budget"
)

func TestFit(t *testing.T) {
	b := budget.Default().Connections
	for _, tt := range []struct {
		whole int64
		want  budget.Bounds
	}{
		{1 << 20, b},
		{b.Whole, b},
		{400, budget.Bounds{Account: 200, Whole: 400, Reserve: 50}},
		{0, budget.Bounds{Account: 2, Whole: 4}},
	} {
		if got := b.Fit(tt.whole); got != tt.want {
			t.Errorf("for %d: %+v, want %+v", tt.whole, got, tt.want)
		}
	}
}
