package durability

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"kcmd.org/kcmd/kcmserver/kcm"
	kcmclient "kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/model"
)

// patience is how long a test waits for what must happen. Only a failing test
// gets there.
const patience = time.Minute

// A client changes its own caches and knows what must be stored of them.
type client struct {
	plan planner

	// history begins with the known state of the store, followed by the state after
	// each requested change. The first answered changes have an answer.
	history  []model.Model
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
		rand:       rand.New(rand.NewPCG(1, uint64(number))),
		hasDefault: number == 0,
		size:       600,
		most:       30,
	}}
	for i := range 3 {
		c.plan.names = append(c.plan.names, fmt.Sprintf("%d:client%d-%d", collection, number, i))
	}
	c.begin(model.Model{})
	if c.plan.hasDefault {
		c.begin(model.Model{Default: fmt.Sprint(collection)})
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

// begin starts a history.
func (c *client) begin(h model.Model) {
	c.history, c.answered = []model.Model{h}, 0
}

// now is the state after all requested changes.
func (c *client) now() model.Model { return c.history[len(c.history)-1] }

// ask asks for one change. It returns a kcm.Code if the server would not, and
// another error if there was no answer.
func (c *client) ask(to *kcmclient.Client) error {
	ch := c.plan.next(c.now())
	c.history = append(c.history, ch.After)
	if err := ch.Do(to); err != nil {
		return err
	}
	c.answered++
	return nil
}

// work requests one change after the other until the daemon ends. It calls working
// after the first few.
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

// compare reads the stored state, which must be that of the last answered change or of
// a later one, and continues the history from there.
func (c *client) compare(from *kcmclient.Client) error {
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
func (c *client) explain(got model.Model) error {
	for _, h := range c.history[c.answered:] {
		if h.Compare(got) == nil {
			return nil
		}
	}
	for i, h := range c.history[:c.answered] {
		if h.Compare(got) == nil {
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

// look returns what the server holds.
func (c *client) look(from *kcmclient.Client) (model.Model, error) {
	return model.Read(from, c.plan.names, c.plan.hasDefault)
}

func dial(socket string) (*kcmclient.Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return kcmclient.Dial(ctx, socket)
}
