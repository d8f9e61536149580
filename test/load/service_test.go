package load

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/test/loopback"
	"vigo.dev/test/programs"
	"vigo.dev/test/self"
)

// A service is `vigo up` with a policy, a data folder and an address of its own.
type service struct {
	t       *testing.T
	dir     string
	address string
	store   string // address of its PostgreSQL; "": a file in the data folder
	every   time.Duration
	process *programs.Process
	client  *api.OperatorClient
}

// rules of alerts: who is silent behind a dark hub is not told of.
var rules = map[string]string{
	"stale.yaml": "kind: Alert\nabout: Is the machine up?\nevent: node.stale\nleave: 1s\ninhibited_by: [hub.dark]\n",
	"dark.yaml":  "kind: Alert\nabout: Is the line of the site up?\nevent: hub.dark\nleave: 1s\n",
}

func newService(t *testing.T, dir string, every time.Duration) *service {
	t.Helper()
	address, err := loopback.Free()
	must(t, err)
	s := &service{t: t, dir: dir, address: address, every: every}
	policy := filepath.Join(dir, "policy")
	must(t, os.MkdirAll(filepath.Join(policy, "alerts"), 0o700))
	for name, rule := range rules {
		must(t, os.WriteFile(filepath.Join(policy, "alerts", name), []byte(rule), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(policy, "fleet.yaml"), []byte("kind: Fleet\nname: acme\ninterval: "+every.String()+"\n"), 0o600))
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"},
		{"-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-q", "-m", "first"}} {
		run(t, exec.Command("git", append([]string{"-C", policy}, args...)...))
	}
	return s
}

func (s *service) data() string { return filepath.Join(s.dir, "data") }

// start starts the service, waits until it answers, and returns when it was started.
func (s *service) start() time.Time {
	s.t.Helper()
	began := time.Now()
	s.begin()
	s.process.Says(s.t, "vigo is up", 2*time.Minute)
	return began
}

// begin starts the service.
func (s *service) begin() {
	s.t.Helper()
	args := []string{"up", "--data", s.data(), "--git", filepath.Join(s.dir, "policy"), "--listen", s.address}
	if s.store != "" {
		args = append(args, "--store", s.store)
	}
	s.process = programs.Start(s.t, self.Command(s.t, "vigo", args...))
}

// kill ends the service without a word, and stop with one.
func (s *service) kill() { s.process.End(syscall.SIGKILL) }

func (s *service) stop() {
	s.t.Helper()
	s.process.End(syscall.SIGTERM)
	if code := s.process.Cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("stopping the service: %s", s.process.Cmd.ProcessState)
	}
}

func (s *service) config() string { return filepath.Join(s.data(), "operator.json") }

func (s *service) operator() *api.OperatorClient {
	s.t.Helper()
	if s.client == nil {
		var c struct{ Server, Token string }
		data, err := os.ReadFile(s.config())
		must(s.t, err)
		must(s.t, json.Unmarshal(data, &c))
		s.client, err = api.NewOperatorClient(c.Server, c.Token, time.Now)
		must(s.t, err)
		s.t.Cleanup(s.client.Close)
	}
	return s.client
}

// metric is one of the service's, summed over its labels; -1 while they cannot be read.
func (s *service) metric(name string) float64 {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	text, err := s.operator().Metrics(ctx)
	if err != nil {
		return -1
	}
	sum := 0.0
	for _, found := range regexp.MustCompile(`(?m)^`+name+`(?:\{.*\})? (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.ParseFloat(found[1], 64)
		must(s.t, err)
		sum += n
	}
	return sum
}

// ready is what /readyz answers; 0: nothing.
func (s *service) ready() int {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}}} // it is the address this test has chosen
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "https://"+s.address+"/readyz", nil)
	must(s.t, err)
	answer, err := client.Do(req)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// checkIns waits until so many more have been counted. It asks seldom: with many nodes the answer is work.
func (s *service) checkIns(n float64) {
	s.t.Helper()
	from := -1.0
	programs.Await(s.t, fmt.Sprint(n, " more check-ins"), 2*time.Minute, func() bool {
		now := s.metric("vigo_report_checkins_total")
		if from < 0 || now < from {
			from = now
		}
		time.Sleep(500 * time.Millisecond)
		return from >= 0 && now >= from+n
	})
}
