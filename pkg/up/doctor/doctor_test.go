package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// checks is the state of each check by its name.
func checks(r report.Diagnosis) map[string]report.Health {
	all := map[string]report.Health{}
	for _, c := range r.Checks {
		all[c.Name] = c.State
	}
	return all
}

// TestExamine: what is well, and what each thing that went wrong shows as.
func TestExamine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(data string) error
		at    time.Time
		check string
		want  report.Health
	}{
		"well": {func(string) error { return nil }, noon, "integrity", report.Well},
		"interrupted": {func(data string) error {
			return errors.Join(os.Mkdir(filepath.Join(data, "restoring"), 0o700), os.WriteFile(filepath.Join(data, "restoring", "ready"), nil, 0o600))
		}, noon, "restore", report.Failing},
		"readable":     {func(data string) error { return os.Chmod(filepath.Join(data, "report.db"), 0o640) }, noon, "modes", report.Failing},
		"no authority": {func(data string) error { return os.RemoveAll(filepath.Join(data, "ca")) }, noon, "authority", report.Warning},
		"soon":         {func(string) error { return nil }, noon.AddDate(20, 0, -60), "authority", report.Warning},
		"expired":      {func(string) error { return nil }, noon.AddDate(21, 0, 0), "authority", report.Failing},
		"clock":        {func(string) error { return nil }, noon.Add(-time.Hour), "clock", report.Failing},
		"other log": {func(data string) error {
			return os.WriteFile(filepath.Join(data, "audit.checkpoint"), []byte(`{"seq":1,"hash":"other"}`), 0o600)
		}, noon, "checkpoint", report.Failing},
		"cut log": {func(data string) error {
			return os.WriteFile(filepath.Join(data, "audit.checkpoint"), []byte(`{"seq":99,"hash":"other"}`), 0o600)
		}, noon, "checkpoint", report.Warning},
		"no checkpoint": {func(data string) error {
			return os.WriteFile(filepath.Join(data, "audit.checkpoint"), []byte(`{`), 0o600)
		}, noon, "checkpoint", report.Failing},
		"no store": {func(data string) error { return os.Remove(filepath.Join(data, "report.db")) }, noon, "store", report.Failing},
		"damaged store": {func(data string) error {
			return os.WriteFile(filepath.Join(data, "report.db"), make([]byte, 9000), 0o600)
		}, noon, "store", report.Failing},
		"not a database": {func(data string) error {
			return os.WriteFile(filepath.Join(data, "report.db"), []byte("a text that is long enough to be read as something else"), 0o600)
		}, noon, "store", report.Failing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := service(t)
			if err := c.spoil(data); err != nil {
				t.Fatal(err)
			}
			r := Examine(t.Context(), data, "", c.at)
			if got := checks(r)[c.check]; got != c.want {
				t.Errorf("%s is %q: %+v", c.check, got, r.Checks)
			}
			if want := map[bool]report.Health{true: report.Well, false: c.want}[c.want == report.Well]; r.Worst() != want && r.Worst() != report.Failing {
				t.Errorf("the worst is %s: %+v", r.Worst(), r.Checks)
			}
			for _, one := range r.Checks {
				if one.State != report.Well && one.Hint == "" && name != "no checkpoint" {
					t.Errorf("%+v says not what to do", one)
				}
			}
		})
	}
}

// service makes the data folder of a service that is well.
func service(t *testing.T) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if _, err := identity.OpenCA(filepath.Join(data, "ca"), "acme", noon); err != nil {
		t.Fatal(err)
	}
	d, err := sqlstore.Open(t.Context(), filepath.Join(data, "report.db"), sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	put := func(ctx context.Context) error {
		return d.PutOperator(ctx, sqlstore.Operator{ID: "1", Name: "jane", Role: identity.RoleAdmin, Hash: []byte{1}}, noon)
	}
	if err := errors.Join(put(t.Context()), d.Close()); err != nil {
		t.Fatal(err)
	}
	return data
}
