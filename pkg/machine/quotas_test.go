//go:build linux

package machine

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unsafe"

	"vigo.dev/pkg/host"
)

// TestQuotas asks where there are no quotas: that is unsupported, and a path that nothing is mounted at is not found. What
// there is to read and set is tried on a machine with a kernel of its own (test/fleet).
func TestQuotas(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(diskQuota{}); size != 72 {
		t.Errorf("struct if_dqblk has 72 bytes, not %d", size)
	}
	m, err := New(Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	q, user := m.Host().Quotas, host.QuotaSubject{Kind: "user", ID: 12345}
	if _, err := q.Quota(t.Context(), "/proc", user); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "quota of the user 12345 on /proc") {
		t.Errorf("on /proc: %v", err)
	}
	if err := q.SetQuota(t.Context(), "/proc", user, host.QuotaLimits{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("setting on /proc: %v", err)
	}
	if _, err := q.Quota(t.Context(), "/proc/self", user); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("inside of a file system: %v", err)
	}
	root, err := New(Options{Root: t.TempDir(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	if _, err := root.Host().Quotas.Quota(t.Context(), "/", user); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("in a root folder: %v", err)
	}
}
