package vigocmd

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
)

// TestRebootsShown is what somebody sees who asks why a machine does not reboot.
func TestRebootsShown(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 13, 23, 0, 0, time.UTC)
	list := []report.Reboot{
		{Node: "db-1", Group: "databases site=ams", State: report.RebootOverdue, Why: "a kernel", Since: now.Add(-52 * time.Minute), Until: now.Add(-22 * time.Minute), Text: "it is silent"},
		{Node: "db-2", Group: "databases site=ams", State: report.RebootWaits, Why: "a kernel", Asked: now.Add(-12 * time.Minute)},
		{Node: "web-1", Group: "rest", State: report.Reboots, Since: now.Add(-time.Minute), Until: now.Add(30 * time.Minute)},
	}
	var b bytes.Buffer
	if err := showReboots(&cli.Env{Stdout: &b, Now: func() time.Time { return now }}, cli.Table, list); err != nil {
		t.Fatal(err)
	}
	want := `NODE   STATE    GROUP               SINCE     BACK BY               WHY
db-1   overdue  databases site=ams  52m ago   2026-11-25 13:01 UTC  it is silent
db-2   waits    databases site=ams  12m ago   -                     a kernel
web-1  reboots  rest                1m0s ago  2026-11-25 13:53 UTC  -
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}
