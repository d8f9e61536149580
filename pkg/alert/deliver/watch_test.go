package deliver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestWatch: a change of the file, or of one that it names, is taken over once it stands still; one with a mistake is refused, once,
// and the next good one is taken. A signal has it be read at once.
func TestWatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, url := filepath.Join(dir, "alerts.yaml"), filepath.Join(dir, "url")
	write := func(path, text string) { must(t, os.WriteFile(path, []byte(text), 0o600)) }
	write(url, "https://a.example")
	one := fmt.Sprintf("receivers: {a: {webhook: {url_file: %s}}}\n", url)
	write(path, one)
	synctest.Test(t, func(t *testing.T) {
		again := make(chan os.Signal)
		ctx, cancel := context.WithCancel(t.Context())
		w := Watch{Path: path, KeyFile: filepath.Join(dir, "key"), Fleet: "acme", Again: again}
		_, err := w.Open()
		must(t, err)
		var mu sync.Mutex
		var log []string
		say := func(text string) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, text)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.Run(ctx, func(s *Service) { say(fmt.Sprint("use ", len(s.Senders))) }, func(err error) { say("refuse " + err.Error()) })
		}()
		pass := func(d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(log) != len(want) {
				t.Fatalf("%q, want %q", log, want)
			}
			for i := range want {
				if !strings.Contains(log[i], want[i]) {
					t.Errorf("%q, want %q", log, want)
				}
			}
			log = nil
		}
		pass(time.Minute)
		write(path, one+"default: [a")
		pass(3 * time.Second) // seen once
		write(path, one+"default: [a]")
		pass(2 * time.Second) // being written
		pass(2*time.Second, "use 1")
		pass(time.Minute)
		write(url, "https://b.example")
		pass(time.Minute, "use 1")
		write(path, one+"default: [b]")
		pass(time.Minute, `there is no receiver "b"`)
		again <- os.Interrupt
		pass(0, `there is no receiver "b"`)
		write(path, one)
		again <- os.Interrupt
		pass(0, "use 1")
		must(t, os.Remove(path))
		pass(time.Minute, "no such file")
		cancel()
		<-done
	})
}
