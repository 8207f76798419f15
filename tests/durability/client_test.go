package durability

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
)

// patience is how long a test waits for what must happen. Only a failing test
// gets there.
const patience = 20 * time.Second

// A client changes its own caches and knows what must be stored of them.
type client struct {
	plan planner

	// history begins with what was stored for sure, and goes on with each
	// change that was asked for since. Those up to answered were answered.
	history  []holdings
	answered int
}

// newClient returns the client of that number, whose changes are always the
// same. Root's clients have a collection each, those of others share theirs; the
// first one has the default of our own.
func newClient(number int) *client {
	collection := os.Getuid()
	if collection == 0 && number > 0 {
		collection = 1000 + number
	}
	c := &client{plan: planner{
		rand:  rand.New(rand.NewPCG(1, uint64(number))),
		deflt: number == 0,
		size:  600,
		most:  30,
	}}
	for i := range 3 {
		c.plan.names = append(c.plan.names, fmt.Sprintf("%d:client%d-%d", collection, number, i))
	}
	c.begin(holdings{})
	if c.plan.deflt {
		c.begin(holdings{defaultName: fmt.Sprint(collection)})
	}
	return c
}

func newClients(n int) []*client {
	list := make([]*client, n)
	for i := range list {
		list[i] = newClient(i)
	}
	return list
}

// begin has the client know what is stored.
func (c *client) begin(h holdings) {
	if h.caches == nil {
		h.caches = make(map[string]cache)
	}
	c.history, c.answered = []holdings{h}, 0
}

// now is what is stored once everything is done that was asked for.
func (c *client) now() holdings { return c.history[len(c.history)-1] }

// ask asks for one change. It returns a kcm.Code if the server would not, and
// another error if there was no answer.
func (c *client) ask(to *kcm.Client) error {
	ch := c.plan.next(c.now())
	c.history = append(c.history, ch.after)
	if _, err := to.Call(ch.op, ch.args); err != nil {
		return fmt.Errorf("%v: %w", ch.op, err)
	}
	c.answered++
	return nil
}

// work asks for one change after the other until the daemon goes away. It calls
// working after the first few.
func (c *client) work(socket string, working func()) error {
	to, err := dial(socket)
	if err != nil {
		return err
	}
	defer to.Close()
	for n := 0; ; n++ {
		var code kcm.Code
		if err := c.ask(to); errors.As(err, &code) {
			return err
		} else if err != nil {
			return nil
		}
		if n == 5 {
			working()
		}
	}
}

// compare looks at what is stored, which must be what was answered last or what
// was asked for since, and has the client go on from there.
func (c *client) compare(from *kcm.Client) error {
	got, err := c.look(from)
	if err != nil {
		return err
	}
	if err := c.explain(got); err != nil {
		return err
	}
	c.begin(got)
	return nil
}

// explain returns an error unless that can be stored.
func (c *client) explain(got holdings) error {
	for _, h := range c.history[c.answered:] {
		if h.equal(got) {
			return nil
		}
	}
	for i, h := range c.history[:c.answered] {
		if h.equal(got) {
			return lostError{c.plan.names[0], c.answered - i}
		}
	}
	return fmt.Errorf("stored is what never was: %v; answered last was %v", got, c.history[c.answered])
}

// A lostError says that a client finds what it had some changes before the last
// one that was answered.
type lostError struct {
	cache   string
	changes int
}

func (e lostError) Error() string {
	return fmt.Sprintf("%s and its like: the last %d changes that were answered are not there", e.cache, e.changes)
}

// look asks what is stored.
func (c *client) look(from *kcm.Client) (holdings, error) {
	h := holdings{caches: make(map[string]cache)}
	for _, name := range c.plan.names {
		stored, err := lookAt(from, name)
		if errors.Is(err, kcm.FCCNoFile) {
			continue
		}
		if err != nil {
			return holdings{}, fmt.Errorf("cannot look at %s: %w", name, err)
		}
		h.caches[name] = stored
	}
	if c.plan.deflt {
		b, err := from.Call(kcm.OpGetDefaultCache, nil)
		if err != nil {
			return holdings{}, err
		}
		h.defaultName = kcm.NewDecoder(b).Name()
	}
	return h, nil
}

func lookAt(from *kcm.Client, name string) (cache, error) {
	principal, err := from.Call(kcm.OpGetPrincipal, named(name))
	if err != nil {
		return cache{}, err
	}
	offset, err := from.Call(kcm.OpGetKDCOffset, named(name))
	if err != nil {
		return cache{}, err
	}
	list, err := from.Call(kcm.OpGetCredList, named(name))
	if err != nil {
		return cache{}, err
	}
	c := cache{principal: string(principal), offset: int32(binary.BigEndian.Uint32(offset))}
	d := ccache.NewDecoder(list)
	for range d.Uint32("count") {
		c.creds = append(c.creds, string(d.Data("credential")))
		if d.Err() != nil {
			break
		}
	}
	return c, d.Err()
}

func dial(socket string) (*kcm.Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return kcm.Dial(ctx, socket)
}
