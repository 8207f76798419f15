package ccstore

var (
	Apply = apply
	Diff  = diff
)

// FromRecord returns the collection that a record makes, without repairs.
func FromRecord(o Owner, r *Record) *Collection {
	c, _ := fromRecord(o, r)
	return c
}

// Same returns the first difference of c and d, or what is wrong with c.
func (c *Collection) Same(d *Collection) error {
	if err := c.check(); err != nil {
		return err
	}
	return c.same(d)
}
