package main

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"kcmd.org/kcmd/dbus/client"
)

// A panel is a line for waybar, which is printed when it changes: by an event, or because
// less time is left.
type panel struct {
	watcher
	mu   sync.Mutex
	last []byte
	away bool
}

// followPanel prints lines until ctx ends.
func followPanel(ctx context.Context, b *bus) error {
	p := &panel{watcher: watcher{b: b}}
	done := make(chan struct{})
	var ticking sync.WaitGroup
	defer ticking.Wait()
	defer close(done)
	ticking.Go(func() { p.tick(done) })
	for e, err := range b.Events(ctx, func() error { return p.begin(ctx) }) {
		if err == nil {
			err = p.event(ctx, e)
		}
		if err != nil {
			return explain("follow kcmd", err)
		}
	}
	return ctx.Err()
}

func (p *panel) begin(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reread(ctx)
}

// reread subscribes, reads the caches, and shows them.
func (p *panel) reread(ctx context.Context) error {
	known, err := p.read(ctx)
	if err != nil {
		return err
	}
	p.known, p.away = known, false
	return p.show()
}

func (p *panel) event(ctx context.Context, e client.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := e.(type) {
	case client.Added:
		if e.Cache != nil && p.b.has(e.Object) {
			p.known[e.Object] = e.Cache
		}
	case client.Removed:
		delete(p.known, e.Object)
	case client.Changed:
		if c := p.known[e.Object]; c != nil {
			if err := e.Apply(c); err != nil {
				return err
			}
		}
	case client.Restarted:
		if e.Running {
			if err := p.b.choose(ctx); err != nil {
				return err
			}
			return p.reread(ctx)
		}
		p.away = true
	}
	return p.show()
}

// tick shows the line each minute, with less time left, until done.
func (p *panel) tick(done <-chan struct{}) {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.mu.Lock()
			_ = p.show() // a closed pipe ends the program
			p.mu.Unlock()
		case <-done:
			return
		}
	}
}

// show prints the line if it is another one than the last.
func (p *panel) show() error {
	if p.known == nil {
		return nil
	}
	var line bytes.Buffer
	page := newPage(&line)
	if p.away {
		page.WaybarAway()
	} else {
		page.Waybar(slices.SortedFunc(maps.Values(p.known), func(a, b *client.Cache) int {
			if a.IsDefault != b.IsDefault {
				if a.IsDefault {
					return -1
				}
				return 1
			}
			return cmp.Compare(a.Name, b.Name)
		}))
	}
	if page.Err() != nil || bytes.Equal(line.Bytes(), p.last) {
		return page.Err()
	}
	p.last = line.Bytes()
	_, err := stdout.Write(p.last)
	return err
}
