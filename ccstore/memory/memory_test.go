package memory_test

import (
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Limits{}, func(*testing.T) storetest.Open {
		b := memory.New() // outlives its Close, as a file would
		return func() ccstore.Backend { return b }
	})
}

func TestShared(t *testing.T) {
	storetest.Run(t, storetest.Limits{}, func(*testing.T) storetest.Open {
		b := memory.NewShared()
		return func() ccstore.Backend { return b }
	})
}

func TestTwoStores(t *testing.T) {
	storetest.RunShared(t, func(*testing.T) [2]ccstore.Backend {
		b := memory.NewShared()
		return [2]ccstore.Backend{b, b}
	})
}
