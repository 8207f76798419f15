package sqlite

// A portion limits what one transaction writes or deletes, so that no commit waits
// long for its turn.
type portion struct{ rows, bytes int }

// onePortion is the portion of a transaction. It takes some milliseconds.
var onePortion = portion{rows: 500, bytes: 256 << 10}

func (p portion) spent() bool { return p.rows <= 0 || p.bytes <= 0 }

func (p portion) fits(left portion) bool { return p.rows <= left.rows && p.bytes <= left.bytes }

func (p *portion) take(q portion) {
	p.rows -= q.rows
	p.bytes -= q.bytes
}
