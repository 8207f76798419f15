package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/coreos/go-systemd/v22/journal"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/safetext"
)

// A journalHandler sends log lines to the journal with fields, so that journalctl finds
// those of a user (KCMD_UID=1000). MESSAGE says everything by itself.
type journalHandler struct {
	level  slog.Leveler
	lines  slog.Handler // takes the lines that the journal does not take
	fields map[string]string

	mu   *sync.Mutex // guards text
	text *bytes.Buffer
	rest slog.Handler // writes attributes to text
}

// journalFields are the fields of attributes. That of the owner has two.
var journalFields = map[string]string{
	"uid":       "KCMD_UID",
	"namespace": "KCMD_NAMESPACE",
	"op":        "KCMD_OPCODE",
	"cache":     "KCMD_CACHE",
	"code":      "KCMD_CODE",
}

// A line is one datagram, of which the kernel takes about 200 KiB.
const (
	maxJournalMessage = 32 << 10
	maxJournalField   = 4 << 10
)

func newJournalHandler(level slog.Leveler, lines slog.Handler) *journalHandler {
	text := new(bytes.Buffer)
	return &journalHandler{
		level: level, lines: lines, mu: new(sync.Mutex), text: text,
		rest: slog.NewTextHandler(text, &slog.HandlerOptions{Level: slog.Level(-1 << 10), ReplaceAttr: dropBuiltIn}),
	}
}

// dropBuiltIn drops what is no attribute: the time and the level have fields.
func dropBuiltIn(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	return a
}

func (h *journalHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	message, err := h.message(ctx, r)
	if err == nil {
		err = journal.Send(message, priority(r.Level), h.fieldsOf(r))
	}
	if err != nil {
		return h.lines.Handle(ctx, r)
	}
	return nil
}

// message returns the message of a record with its attributes, as one line.
func (h *journalHandler) message(ctx context.Context, r slog.Record) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text.Reset()
	if err := h.rest.Handle(ctx, r); err != nil {
		return "", err
	}
	line := safetext.Escape(r.Message) + " " + h.text.String()
	return cutTo(strings.TrimRight(line, " \n"), maxJournalMessage), nil
}

// fieldsOf returns the fields of a record.
func (h *journalHandler) fieldsOf(r slog.Record) map[string]string {
	fields := map[string]string{"SYSLOG_IDENTIFIER": "kcmd"}
	for name, value := range h.fields {
		fields[name] = value
	}
	r.Attrs(func(a slog.Attr) bool {
		addField(fields, a)
		return true
	})
	if fields["KCMD_UID"] != "" && fields["KCMD_NAMESPACE"] == "" {
		fields["KCMD_NAMESPACE"] = ccstore.DefaultNamespace
	}
	return fields
}

// addField adds the fields of an attribute.
func addField(fields map[string]string, a slog.Attr) {
	value := a.Value.Resolve()
	if owner, ok := value.Any().(ccstore.Owner); ok {
		addField(fields, slog.Uint64("uid", uint64(owner.UID)))
		addField(fields, slog.String("namespace", owner.Namespace))
		return
	}
	if name, ok := journalFields[a.Key]; ok {
		fields[name] = cutTo(value.String(), maxJournalField)
	}
}

// cutTo returns the beginning of s, if s is longer than most. It splits no character:
// journalctl would show "blob data" in place of the line.
func cutTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "..."
}

// priority returns the priority of a level.
func priority(level slog.Level) journal.Priority {
	switch {
	case level >= slog.LevelError:
		return journal.PriErr
	case level >= slog.LevelWarn:
		return journal.PriWarning
	case level > slog.LevelInfo:
		return journal.PriNotice
	case level == slog.LevelInfo:
		return journal.PriInfo
	}
	return journal.PriDebug
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.lines, next.rest = h.lines.WithAttrs(attrs), h.rest.WithAttrs(attrs)
	next.fields = make(map[string]string)
	for name, value := range h.fields {
		next.fields[name] = value
	}
	for _, a := range attrs {
		addField(next.fields, a)
	}
	return &next
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	next := *h
	next.lines, next.rest = h.lines.WithGroup(name), h.rest.WithGroup(name)
	return &next
}
