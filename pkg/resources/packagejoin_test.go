package resources_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/converge"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/hosttest"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/resources"
)

// counted is a package manager that keeps what it was called for.
type counted struct {
	host.Packages
	calls *[]string
}

func (c counted) Apply(ctx context.Context, want ...host.PackageChange) error {
	var names []string
	for _, w := range want {
		names = append(names, w.Name)
	}
	*c.calls = append(*c.calls, strings.Join(names, " "))
	return c.Packages.Apply(ctx, want...)
}

func (c counted) Refresh(ctx context.Context) error {
	*c.calls = append(*c.calls, "(refresh)")
	return c.Packages.Refresh(ctx)
}

// forgetful is a journal of a machine that is seen for the first time.
type forgetful struct{}

func (forgetful) Pending(string) bool            { return false }
func (forgetful) Notify(string, []string) error  { return nil }
func (forgetful) Settle([]string) error          { return nil }
func (forgetful) Enforced(string) string         { return "" }
func (forgetful) Finish(map[string]string) error { return nil }

// Packages that follow each other are one call of the package manager; what fails, fails alone.
func TestPackagesAreOneTransaction(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		host, packages string
		calls          []string
		results        []string
	}{
		"ten": {
			host:     candidates(10),
			packages: "p0 p1 p2 p3 p4 p5 p6 p7 p8 p9",
			calls:    []string{"p0 p1 p2 p3 p4 p5 p6 p7 p8 p9"},
			results:  []string{"p0 changed", "p1 changed", "p2 changed", "p3 changed", "p4 changed", "p5 changed", "p6 changed", "p7 changed", "p8 changed", "p9 changed"},
		},
		"installed and removed together": {
			host:     "candidate p0 1\npackage p1 1\npackage p2 1\n",
			packages: "p0 -p1 p2",
			calls:    []string{"p0 p1"},
			results:  []string{"p0 changed", "p1 changed"},
		},
		"lists are fetched once": {
			host:     "candidate p0 refreshed=1\ncandidate p1 refreshed=1\n",
			packages: "p0 p1",
			calls:    []string{"(refresh)", "p0 p1"},
			results:  []string{"p0 changed", "p1 changed"},
		},
		"one that nobody has": {
			host:     "candidate p0 1\ncandidate p1 1\n",
			packages: "p0 nosuch p1",
			calls:    []string{"(refresh)", "p0 p1", "(refresh)", "nosuch"},
			results:  []string{"p0 changed", "nosuch failed: package nosuch: not found", "p1 changed"},
		},
		"one that cannot be installed": {
			host:     "candidate p0 1\ncandidate p1 1\ncandidate p2 1\nfail install p1 \"post-installation script failed\"\n",
			packages: "p0 p1 p2",
			calls:    []string{"p0 p1 p2", "p0", "p1", "p2"},
			results:  []string{"p0 changed", "p1 failed: package p1: post-installation script failed", "p2 changed"},
		},
		"what is held and released goes by itself": {
			host:     "candidate p0 1\ncandidate p1 1\ncandidate p2 1\n",
			packages: "p0 +p1 p2",
			calls:    []string{"p0 p2", "p1"},
			results:  []string{"p0 changed", "p1 changed", "p2 changed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := hosttest.Parse([]byte(c.host))
			if err != nil {
				t.Fatal(err)
			}
			var calls, results []string
			h := m.Host()
			h.Packages = counted{h.Packages, &calls}
			rep := converge.Run(t.Context(), catalogOf(c.packages), h, converge.Options{
				Journal: forgetful{}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(0, 0) },
			})
			for _, r := range rep.Results {
				text := strings.TrimPrefix(r.ID, "m/package:") + " " + string(r.Outcome)
				if r.Reason != "" {
					text += ": " + r.Reason
				}
				results = append(results, text)
			}
			if diff := cmp.Diff(c.calls, calls); diff != "" {
				t.Errorf("calls, -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(c.results, results); diff != "" {
				t.Errorf("results, -want +got:\n%s", diff)
			}
		})
	}
}

func candidates(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "candidate p%d 1\n", i)
	}
	return b.String()
}

// catalogOf is a catalog of packages: -name is absent, +name is held.
func catalogOf(words string) *resource.Catalog {
	cat := &resource.Catalog{}
	for _, word := range strings.Fields(words) {
		p := &resources.Package{Name: strings.TrimLeft(word, "+-")}
		switch word[0] {
		case '-':
			p.Ensure = "absent"
		case '+':
			p.Ensure = "held"
		}
		cat.Items = append(cat.Items, resource.Item{ID: resource.ID{Type: "package", Name: p.Name}, Module: "m", Resource: p, Digest: "1"})
	}
	return cat
}
