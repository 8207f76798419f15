package link

import "testing"

// TestLabelOf: some buses end a label with a zero byte.
func TestLabelOf(t *testing.T) {
	for answer, want := range map[string]string{"": "", "a:b:c:s0": "a:b:c:s0", "a:b:c:s0\x00": "a:b:c:s0"} {
		if got := labelOf([]byte(answer)); got != want {
			t.Errorf("labelOf(%q) = %q, want %q", answer, got, want)
		}
	}
}
