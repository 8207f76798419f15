package ccstore

import (
	"context"
	"slices"
	"sync"
)

// levels knows at which SELinux levels each uid has something stored. It is
// filled when it is first asked for, which happens with SELinux only.
type levels struct {
	mu     sync.Mutex
	filled bool
	of     map[Owner][]string // by owner without level; sorted
}

// Levels returns the SELinux levels at which a uid has something stored, in
// order.
func (s *Store) Levels(ctx context.Context, namespace string, uid uint32) ([]string, error) {
	s.levels.mu.Lock()
	defer s.levels.mu.Unlock()
	if !s.levels.filled {
		owners, err := s.Owners(ctx)
		if err != nil {
			return nil, err
		}
		s.levels.of = make(map[Owner][]string)
		for _, o := range owners {
			s.levels.insert(o)
		}
		s.levels.filled = true
	}
	return slices.Clone(s.levels.of[Owner{Namespace: namespace, UID: uid}]), nil
}

// add takes note of an owner who has something stored now.
func (l *levels) add(o Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.filled {
		l.insert(o)
	}
}

func (l *levels) insert(o Owner) {
	level := o.Level
	o.Level = ""
	if i, found := slices.BinarySearch(l.of[o], level); !found {
		l.of[o] = slices.Insert(l.of[o], i, level)
	}
}
