package main

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// A duration is the value of a flag.
type duration time.Duration

// durationFlag adds a flag whose value is a duration.
func durationFlag(flags *pflag.FlagSet, d *time.Duration, name, short, usage string) {
	flags.VarP((*duration)(d), name, short, usage)
}

func (d *duration) String() string {
	if *d <= 0 {
		return "" // the help has no default
	}
	return time.Duration(*d).String()
}

// Type implements pflag.Value.
func (*duration) Type() string { return "duration" }

// Set implements pflag.Value.
func (d *duration) Set(text string) error {
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return fmt.Errorf("allowed: hours, minutes and seconds, as in 8h, 10m, 30s, 1h30m; a day is 24h%w", hidden{err})
	}
	*d = duration(v)
	return nil
}
