package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
)

func env() (*cli.Env, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return &cli.Env{Name: "vigo", Version: "1.2.3", Stdout: &out, Stderr: &errs, Now: time.Now, Getenv: func(string) string { return "" }}, &out, &errs
}

// What is done at once is not talked about; what lasts is, once, or on a terminal with the seconds, and that line goes.
func TestWaitSaysWhatLasts(t *testing.T) {
	for _, c := range []struct {
		lasts time.Duration
		live  bool
		want  string
	}{
		{900 * time.Millisecond, false, ""},
		{900 * time.Millisecond, true, ""},
		{3500 * time.Millisecond, false, "vigo: asking …\n"},
		{2500 * time.Millisecond, true, "\r\x1b[Kvigo: asking … 1s\r\x1b[Kvigo: asking … 2s\r\x1b[K"},
	} {
		synctest.Test(t, func(t *testing.T) {
			e, out, errs := env()
			e.Live = c.live
			got, err := cli.Wait(e, "asking", func() (int, error) {
				time.Sleep(c.lasts) // in the clock of the test, which takes no time
				return 42, nil
			})
			if got != 42 || err != nil || errs.String() != c.want || out.Len() > 0 {
				t.Errorf("%s, live %t: got %d, %v and %q, want %q", c.lasts, c.live, got, err, errs, c.want)
			}
		})
	}
}

func TestColoursAreForTerminals(t *testing.T) {
	t.Parallel()
	e, _, _ := env()
	if got := e.Paint("red", "failed"); got != "failed" {
		t.Errorf("got %q without a terminal", got)
	}
	e.Colour = true
	if got := e.Paint("red", "failed"); got != "\x1b[31mfailed\x1b[0m" {
		t.Errorf("got %q on a terminal", got)
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	got, err := cli.ParseLabels([]string{"role=web", "site=a=b", "role=web", "empty="})
	if err != nil || len(got) != 3 || got["role"] != "web" || got["site"] != "a=b" || got["empty"] != "" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range [][]string{{"web"}, {"=web"}, {"role=web", "role=db"}} {
		if _, err := cli.ParseLabels(bad); fault.CodeOf(err) != fault.Usage {
			t.Errorf("%v: got %v, want an error of usage", bad, err)
		}
	}
	e, _, errs := env()
	e.WarnOfLabels(map[string]string{"rol": "web", "role": "web", "colour": "red"}, []string{"environment", "role"})
	want := "vigo: warning: the policy knows no label \"colour\": it knows environment, role\n" +
		"vigo: warning: the policy knows no label \"rol\": did you mean \"role\"?\n"
	if errs.String() != want {
		t.Errorf("got %q, want %q", errs, want)
	}
}

// A refusal and "it could not be looked at" end with different codes.
func TestRefusedIsNotUnreachable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want fault.Code
	}{
		{nil, fault.OK},
		{&bundle.Refusal{Name: bundle.Unsigned}, fault.NotVerified},
		{fmt.Errorf("fetching: %w", bundle.ErrDigest), fault.NotVerified},
		{fmt.Errorf("fetching: %w", bundle.ErrNotFound), fault.Failure},
		{errors.New("connection refused"), fault.Failure},
	} {
		if got := fault.CodeOf(cli.Refused(c.err)); got != c.want {
			t.Errorf("%v: code %d, want %d", c.err, got, c.want)
		}
	}
}

// Documents have the same keys in both formats, and mistakes are one a line.
func TestOutput(t *testing.T) {
	t.Parallel()
	doc := struct {
		Node string         `json:"node"`
		Ok   bool           `json:"conforms"`
		Map  map[string]any `json:"labels"`
	}{"web-1", true, map[string]any{"role": "web", "no": "yes"}}
	for f, want := range map[cli.Format]string{
		cli.JSON: "{\n  \"node\": \"web-1\",\n  \"conforms\": true,\n  \"labels\": {\n    \"no\": \"yes\",\n    \"role\": \"web\"\n  }\n}\n",
		cli.YAML: "node: web-1\nconforms: true\nlabels:\n    \"no\": \"yes\"\n    role: web\n",
	} {
		e, out, _ := env()
		if done, err := e.Document(f, doc); !done || err != nil || out.String() != want {
			t.Errorf("%s: got %t, %v and\n%s", f, done, err, out)
		}
	}
	e, _, errs := env()
	e.PrintError(fault.Problems{{Pos: fault.Pos{File: "a.yaml", Line: 2, Col: 3}, Msg: "no", Hint: "yes"}, {Msg: "other"}})
	if want := "a.yaml:2:3: no (yes)\nother\nvigo: error: 2 mistakes\n"; errs.String() != want {
		t.Errorf("got %q", errs)
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := cli.Folder(dir); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/file": "is a file", "/nowhere": "there is no folder", "/file/x": "not a directory"} {
		if _, err := cli.Folder(dir + path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

// What a node says stays in its cell: it begins neither a row nor a column of its own.
func TestCellsOfSeveralLines(t *testing.T) {
	t.Parallel()
	e, out, _ := env()
	err := e.Columns([]string{"TIME", "NODE", "WHAT"}, [][]string{
		{"09:00", "web-1", "stable: a.yaml:1:1: bad\n10:00  db-1  node.retired\n"},
		{"09:01", "web-2", "a\ttab"},
		{"09:02", "web-3", ""},
	})
	want := "TIME   NODE   WHAT\n" +
		"09:00  web-1  stable: a.yaml:1:1: bad\n" +
		"              10:00  db-1  node.retired\n" +
		"09:01  web-2  a tab\n" +
		"09:02  web-3  \n"
	if err != nil || out.String() != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, out, want)
	}
}
