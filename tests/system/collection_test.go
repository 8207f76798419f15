package system

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// collectionStory has every command of a user on a collection, also ones that fail.
var collectionStory = []string{
	"klist",
	"klist -s",
	"klist -A",
	"klist -A -s",
	"klist -l",
	"kdestroy",
	"kinit alice",
	"klist",
	"klist -s",
	"klist -A",
	"klist -l",
	"klist -C",
	"kvno $service",
	"kvno $service",
	"klist",
	"kinit bob",
	"klist -A",
	"klist -l",
	"kinit carol",
	"klist -A",
	"klist -l",
	"kinit alice",
	"klist -A",
	"klist -l",
	"kswitch -p bob",
	"klist",
	"klist -l",
	"kvno $service",
	"kswitch -p dave",
	"klist -A",
	"kinit -R",
	"klist -A",
	"klist -A -C",
	"kdestroy",
	"klist",
	"klist -s",
	"klist -A",
	"klist -A -s",
	"klist -l",
	"kdestroy",
	"kvno $service",
	"kswitch -p carol",
	"klist -A",
	"kdestroy -p alice",
	"klist -A",
	"kdestroy -p dave",
	"kinit bob",
	"klist -A",
	"kdestroy -A",
	"klist -A",
	"klist -l",
	"klist -A -s",
	"kinit bob",
	"klist -A",
}

// The same commands have the same results with KCM: as with DIR: and KEYRING:.
func TestCollectionIsLikeOthers(t *testing.T) {
	w := newStartedWorld(t, "story")
	if err := os.Mkdir(w.lab.Path("dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	ours := tellStory(w, "KCM:")

	t.Run("DIR", func(t *testing.T) {
		compareStories(t, tellStory(w, "DIR:"+w.lab.Path("dir")), ours)
	})
	t.Run("KEYRING", func(t *testing.T) {
		// In the session keyring of this test binary (see lab.Start), which
		// may run the test several times.
		cache := "KEYRING:session:" + filepath.Base(w.lab.Dir)
		if o := w.tell(cache+"-try", "kinit", "alice"); o.Err != nil {
			t.Skipf("no KEYRING: caches here: %v: %s", o.Err, strings.TrimSpace(o.Stderr))
		}
		// KEYRING: differs from DIR: in one point: kdestroy of a cache that does
		// not exist is silent. KCM: is like DIR:.
		quiet := slices.Clone(ours)
		for i := range quiet {
			quiet[i] = strings.ReplaceAll(quiet[i], "kdestroy: no cache while destroying cache\n", "")
		}
		compareStories(t, tellStory(w, cache), quiet)
	})
}

// tell runs one command of the story with a type of cache.
func (w *world) tell(cache string, args ...string) outcome {
	env := w.env()
	for i, kv := range env {
		if strings.HasPrefix(kv, "KRB5CCNAME=") {
			env[i] = "KRB5CCNAME=" + cache
		}
	}
	return w.client(w.lab.Dir, env, args)
}

// tellStory runs the story and returns its output without what depends on the type of
// cache or on the time, and with tickets and caches sorted: DIR: has the order of the
// file system, KEYRING: that of the kernel.
func tellStory(w *world, cache string) []string {
	n := normaliser{names: make(map[string]string)}
	var story []string
	for _, line := range collectionStory {
		args := strings.Fields(strings.ReplaceAll(line, "$service", w.service))
		o := w.tell(cache, args...)
		status := 0
		if o.Err != nil {
			status = 1
		}
		var exit *exec.ExitError
		if errors.As(o.Err, &exit) {
			status = exit.ExitCode()
		}
		// The default comes first, if there is one.
		first := 0
		if w.tell(cache, "klist", "-s").Err == nil {
			first = 1
		}
		story = append(story, fmt.Sprintf("$ %s\n%s%s[%d]",
			line, sorted(n.normalise(o.Stdout), first), n.normalise(o.Stderr), status))
	}
	return story
}

// sorted sorts the output of klist: the tickets of each cache, and the caches after the
// first ones.
func sorted(text string, from int) string {
	if head, rows, ok := strings.Cut(text, "---- ----\n"); ok {
		lines := strings.Split(strings.TrimSuffix(rows, "\n"), "\n")
		slices.Sort(lines[min(from, len(lines)):])
		return head + "---- ----\n" + strings.Join(lines, "\n") + "\n"
	}
	const title = "Ticket cache: "
	if !strings.HasPrefix(text, title) {
		return text
	}
	caches := strings.Split(strings.TrimSuffix(strings.TrimPrefix(text, title), "\n"), "\n\n"+title)
	for i, c := range caches {
		head, tickets, ok := strings.Cut(c, "Service principal\n")
		if !ok {
			return text
		}
		// A ticket may have a second line, which is indented.
		entries := strings.Split(strings.ReplaceAll(tickets, "\n\t", "\t"), "\n")
		slices.Sort(entries)
		caches[i] = head + "Service principal\n" + strings.ReplaceAll(strings.Join(entries, "\n"), "\t", "\n\t")
	}
	slices.Sort(caches[min(from, len(caches)):])
	return title + strings.Join(caches, "\n\n"+title) + "\n"
}

func compareStories(t *testing.T, theirs, ours []string) {
	t.Helper()
	if diff := cmp.Diff(theirs, ours); diff != "" {
		t.Errorf("KCM: tells another story (- theirs, + ours):\n%s", diff)
	}
}

// A normaliser gives the caches of a story numbers in place of their names, in
// the order in which they appear.
type normaliser struct {
	names map[string]string
}

var (
	cacheName = regexp.MustCompile(`(KCM:|DIR::?|KEYRING:)[^\s')]*`)
	timestamp = regexp.MustCompile(`\d\d/\d\d/\d\d \d\d:\d\d:\d\d`)
	spaces    = regexp.MustCompile(` {2,}`)
	ruler     = regexp.MustCompile(`-{4,}`)

	// The library has two ways to say that there is no cache.
	notFound = regexp.MustCompile(`(?:Credentials cache(?: keyring)? '.*' not found|No credentials cache found(?: \(filename: .*\))?)`)
)

func (n *normaliser) normalise(text string) string {
	text = notFound.ReplaceAllString(text, "no cache")
	text = cacheName.ReplaceAllStringFunc(text, func(s string) string {
		if n.names[s] == "" {
			n.names[s] = fmt.Sprintf("CACHE-%d", len(n.names)+1)
		}
		return n.names[s]
	})
	text = timestamp.ReplaceAllString(text, "TIME")
	text = ruler.ReplaceAllString(text, "----")
	return spaces.ReplaceAllString(text, " ")
}
