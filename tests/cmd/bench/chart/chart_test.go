package chart_test

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"kcmd.org/kcmd/tests/cmd/bench/chart"
)

// elements counts the elements of a document by name, and returns its text. The
// document has to be well-formed.
func elements(t *testing.T, svg string) (map[string]int, string) {
	t.Helper()
	count := make(map[string]int)
	var text strings.Builder
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count, text.String()
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			count[token.Name.Local]++
			inside(t, token)
		case xml.CharData:
			text.Write(token)
		}
	}
}

// inside checks that a circle is in the picture.
func inside(t *testing.T, e xml.StartElement) {
	t.Helper()
	for _, a := range e.Attr {
		if a.Name.Local != "cx" && a.Name.Local != "cy" {
			continue
		}
		if v, err := strconv.ParseFloat(a.Value, 64); err != nil || math.IsNaN(v) || v < 0 || v > 860 {
			t.Errorf("%s of a circle is %q", a.Name.Local, a.Value)
		}
	}
}

func draw(t *testing.T, c chart.Chart) (map[string]int, string) {
	t.Helper()
	var svg strings.Builder
	if err := c.Write(&svg); err != nil {
		t.Fatal(err)
	}
	return elements(t, svg.String())
}

func TestChart(t *testing.T) {
	c := chart.Chart{
		Title: "a < b & c",
		X:     "tickets", Y: "us", Footer: `"small print"`,
		Lines: []chart.Line{
			{Name: "one", Points: []chart.Point{{10, 5}, {300, 60}, {10_000, 4000}}},
			{Name: "<two>", Points: []chart.Point{{10, 5}, {0, 7}, {300, 0}}},
		},
	}
	count, text := draw(t, c)
	if count["polyline"] != 2 {
		t.Errorf("%d lines, want 2", count["polyline"])
	}
	// Three points and the one in the legend; the second line has squares.
	if count["circle"] != 4 {
		t.Errorf("%d circles, want 4", count["circle"])
	}
	for _, want := range []string{"a < b & c", "tickets", "us", `"small print"`, "one", "<two>", "10", "300", "10 k", "1000"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
}

func TestChartOfLittle(t *testing.T) {
	for name, lines := range map[string][]chart.Line{
		"nothing":      nil,
		"an empty one": {{Name: "a"}},
		"one point":    {{Name: "a", Points: []chart.Point{{7, 7}}}},
		"a flat line":  {{Name: "a", Points: []chart.Point{{1, 7}, {2, 7}}}},
	} {
		t.Run(name, func(t *testing.T) {
			if count, _ := draw(t, chart.Chart{Lines: lines}); count["polyline"] != len(lines) {
				t.Errorf("%d lines, want %d", count["polyline"], len(lines))
			}
		})
	}
}

func TestChartWriteFails(t *testing.T) {
	if err := (chart.Chart{}).Write(brokenWriter{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
