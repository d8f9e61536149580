package rollouts

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"vigo.dev/pkg/rollout"
)

// TestABoardIsAskedAndAnnAgrees: nobody has the candidate before a webhook accepts that it begins. Then the canary is healthy, and nothing goes on before a webhook accepts and somebody has signed a commit
// that says so; then all of it does by itself.
func TestABoardIsAskedAndAnnAgrees(t *testing.T) {
	t.Parallel()
	var begins, says atomic.Value
	begins.Store(`{"verdict": "wait", "reason": "it is Friday"}`)
	says.Store(`{"verdict": "wait", "reason": "there is a freeze"}`)
	var asked atomic.Value
	board := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked.Store(body)
		answer := &says
		if strings.Contains(string(body), `"before":true`) {
			answer = &begins
		}
		_, _ = io.WriteString(w, answer.Load().(string))
	}))
	t.Cleanup(board.Close)
	receivers := filepath.Join(t.TempDir(), "alerts.yaml")
	if err := os.WriteFile(receivers, []byte("receivers: {board: {webhook: {url: \""+board.URL+"\", plain_http: true}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	spec := strings.Replace(quick(), "size: 100%}\n  - {name: early, size: 50%}", "size: 100%, approve: {ask: board}, gate: {ask: board}}\n  - {name: early, size: 50%, approve: {count: 1, by: ann, file: rollouts/approvals/stable.yaml, only_commits: true}}", 1)
	f := newFleet(t, spec, "--alerts", receivers)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ann, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f.repo.Put(map[string]string{"allowed_signers": "ann " + string(ssh.MarshalAuthorizedKey(ann.PublicKey()))})
	f.commit("two", "")
	f.awaitReason(rollout.WaitingGate, "board says wait: it is Friday")
	f.stays(3*time.Second, "it has not begun", func() string {
		if n := f.having("two"); n != 0 {
			return fmt.Sprintf("%d nodes have it", n)
		}
		return ""
	})
	begins.Store(`{"verdict": "accept"}`)
	f.awaitReason(rollout.WaitingGate, "board says wait: there is a freeze")
	if n := f.having("two"); n != 2 {
		t.Errorf("%d nodes have it, want the two canaries", n)
	}
	var q struct {
		Type, Stage, Next, Commit string
		Counts                    map[rollout.Word]int
	}
	if err := json.Unmarshal(asked.Load().([]byte), &q); err != nil || q.Type != "vigo.rollout.gate" || q.Stage != "canary" || q.Next != "early" || q.Counts[rollout.Healthy] != 2 {
		t.Errorf("the board is asked %s: %v", asked.Load(), err)
	}
	says.Store(`{"verdict": "accept"}`)
	f.awaitReason(rollout.WaitingApproval, "0 of 1 have approved")
	line := fmt.Sprintf("kind: Approvals\napprovals:\n  - {stage: early, commit: \"%.12s\", by: ann}\n", f.status().Commit)
	f.repo.Put(map[string]string{"rollouts/approvals/stable.yaml": line}).Commit("ann agrees, and did not sign it")
	f.repo.Remove("rollouts/approvals").Commit("so it is taken away")
	f.repo.Sign = func(payload []byte) []byte {
		sig, err := sshsig.Sign(bytes.NewReader(payload), ann, sshsig.HashSHA512, "git")
		if err != nil {
			t.Error(err)
			return nil
		}
		return sshsig.Armor(sig)
	}
	f.repo.Put(map[string]string{"rollouts/approvals/stable.yaml": line}).Commit("ann agrees")
	s := f.awaitPhase(rollout.Completed, "")
	if got := s.Stages[1].Approved; len(got) != 1 || got[0] != "ann" {
		t.Errorf("approved by %v", got)
	}
	f.await("all have it", func() string { return f.missing("two") })
}

// awaitReason waits for a reason and what is said of it.
func (f *fleet) awaitReason(r rollout.Reason, detail string) {
	f.t.Helper()
	f.await(string(r), func() string {
		if s := f.status(); s.Reason != r || !strings.Contains(s.Detail, detail) {
			return fmt.Sprintf("%s (%s)", s.Reason, s.Detail)
		}
		return ""
	})
}
