package prompt

import (
	"path/filepath"
	"strings"

	"kcmd.org/kcmd/safetext"
)

// A kind is what a dialog shows.
type kind int

const (
	password kind = iota
	line
	message
)

// What a dialog shows at most. A longer text would push the buttons off the screen.
const (
	maxLines = 40
	maxLine  = 200 // bytes
)

// arguments has the arguments of a dialog, and never a password. A text is part of the
// argument of its option, so that it is no option itself.
func (p program) arguments(k kind, title, text, offer string) []string {
	title, text, offer = safetext.Truncate(title, maxLine), plain(text), safetext.Truncate(offer, maxLine)
	if filepath.Base(p.name) == "kdialog" {
		return kdialog(k, title, text, offer)
	}
	return zenity(k, title, text, offer)
}

// kdialog always gets HTML: without a tag, Qt would guess from the text whether it is.
func kdialog(k kind, title, text, offer string) []string {
	text = "<qt>" + strings.ReplaceAll(markup(text), "\n", "<br>") + "</qt>"
	switch k {
	case password:
		return []string{"--title=" + title, "--password=" + text}
	case line:
		return []string{"--title=" + title, "--inputbox=" + text, "--", offer}
	}
	return []string{"--title=" + title, "--msgbox=" + text}
}

// zenity --password shows no text, so --entry asks. Its text is no markup, but has
// mnemonics and the escapes of C; that of --info is Pango's markup.
func zenity(k kind, title, text, offer string) []string {
	mnemonic := strings.NewReplacer(`\`, `\\`, "_", "__").Replace(text)
	switch k {
	case password:
		return []string{"--entry", "--hide-text", "--title=" + title, "--text=" + mnemonic}
	case line:
		return []string{"--entry", "--title=" + title, "--text=" + mnemonic, "--entry-text=" + offer}
	}
	return []string{"--info", "--title=" + title, "--text=" + markup(text)}
}

// markup escapes a text for Pango and Qt. Both programs unescape backslashes before.
func markup(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `\`, "&#92;").Replace(s)
}

// plain limits a text, and escapes all of its control characters but the ends of lines.
func plain(text string) string {
	lines := strings.SplitN(text, "\n", maxLines+1)
	if len(lines) > maxLines {
		lines[maxLines] = "..."
	}
	for i, l := range lines {
		lines[i] = safetext.Truncate(l, maxLine)
	}
	return strings.Join(lines, "\n")
}
