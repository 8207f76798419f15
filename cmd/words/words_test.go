package words

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 59 * time.Second: "59 s", 60 * time.Second: "1 min", 59*time.Minute + 59*time.Second: "59 min",
		time.Hour: "1 h", 7*time.Hour + 41*time.Minute: "7 h 41 min", Day: "1 d", 400*Day + 5*time.Hour: "400 d 5 h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestReason(t *testing.T) {
	err := fmt.Errorf("Renew: %w: %w", errors.New("no KDC answers"), errors.New("cannot reach any KDC"))
	if got := Reason(err); got != "cannot reach any KDC" {
		t.Errorf("got %q", got)
	}
}
