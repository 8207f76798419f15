package checksum_test

import (
	"testing"

	"kcmd.org/kcmd/ccstore/checksum"
)

// TestForm compares sums with those of another implementation. Stored sums must be
// valid in every later version.
func TestForm(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want checksum.Sum
	}{
		{"nothing", checksum.Sum(0), 0},
		{"check value of CRC-32C after its length", checksum.Sum(0).Text("123456789"), 0xf82c962},
		{"a number", checksum.Sum(0).Uint64(0x0102030405060708), 0x46891f81},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.name, uint32(tt.got), uint32(tt.want))
		}
	}
}

// TestFieldBounds divides the same bytes into fields in several ways.
func TestFieldBounds(t *testing.T) {
	sums := make(map[checksum.Sum]string)
	for _, fields := range [][]string{{"ab", "c"}, {"a", "bc"}, {"abc"}, {"abc", ""}, {"", "abc"}, {"a", "b", "c"}, {"ABC"}} {
		var sum checksum.Sum
		for _, f := range fields {
			sum = sum.Text(f)
		}
		if other, ok := sums[sum]; ok {
			t.Errorf("%q has the sum of %s", fields, other)
		}
		sums[sum] = fields[0]
	}
}
