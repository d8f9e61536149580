package report

import (
	"fmt"
	"strings"
	"testing"
)

// A run adds what it did, and what is not as the runs before had found it; what stays adds nothing.
func TestHistoryOf(t *testing.T) {
	t.Parallel()
	run := func(failure string, results ...Result) Run { return Run{ID: "r", Error: failure, Results: results} }
	res := func(id string, o Outcome, reason string) Result { return Result{ID: id, Outcome: o, Reason: reason} }
	broken := res("web/service:nginx", Failed, "exit 1")
	for _, c := range []struct {
		name   string
		before []Run // newest first
		now    Run
		want   string
	}{
		{"the first run", nil, run("", res("a/file:/x/y", Changed, ""), res("a/file:/z", Skipped, "later")), "a file:/x/y changed"},
		{"a repair each time", []Run{run("", res("a/file:/x", Corrected, ""))}, run("", res("a/file:/x", Corrected, "")), "a file:/x corrected"},
		{"a failure begins", []Run{run("")}, run("", broken), "web service:nginx failed"},
		{"a failure stays", []Run{run("", broken)}, run("", broken), ""},
		{"a failure changes", []Run{run("", broken)}, run("", res("web/service:nginx", Failed, "exit 2")), "web service:nginx failed"},
		{"a failure ends", []Run{run("", broken)}, run(""), "web service:nginx ok"},
		{"a failure becomes a change", []Run{run("", broken)}, run("", res("web/service:nginx", Changed, "")), "web service:nginx changed"},
		{"a failure is skipped", []Run{run("", broken)}, run("", res("web/service:nginx", Skipped, "")), ""},
		{"no run", []Run{run("", broken)}, run("no catalog"), " failed"},
		{"still none", []Run{run("no catalog"), run("", broken)}, run("no catalog"), ""},
		{"again one, and the failure is as before", []Run{run("no catalog"), run("", broken)}, run("", broken), " ok"},
		{"again one, and all is well", []Run{run("no catalog"), run("", broken)}, run(""), " ok, web service:nginx ok"},
	} {
		var got []string
		for _, e := range HistoryOf(c.before, c.now) {
			got = append(got, strings.TrimLeft(fmt.Sprintf("%s %s %s", e.Module, e.Subject, e.Outcome), " "))
		}
		if text := strings.Join(got, ", "); text != strings.TrimLeft(strings.ReplaceAll(c.want, ",  ", ", "), " ") {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
}

// Names of resources may hold slashes; those of modules do not.
func TestSplitID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{"web/file:/etc/x": "web|file:/etc/x", "file:/etc/x": "|file:/etc/x", "odd": "|odd", "": "|"} {
		if module, subject := SplitID(id); module+"|"+subject != want {
			t.Errorf("%q is %q of %q", id, subject, module)
		}
	}
}
