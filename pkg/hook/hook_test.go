package hook_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/hook"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/machine"
)

// program makes a Program out of a shell script.
func program(t *testing.T, script string) *hook.Program {
	t.Helper()
	m, err := machine.New(machine.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	path := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := hook.New("/bin/sh "+path+" word", m.Host().Run)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func request() identity.SignRequest {
	peer := identity.Peer{Fleet: "acme", Role: identity.RoleNode, Name: "web-1"}
	return identity.SignRequest{CSR: []byte("the request"), Peer: peer, URI: "vigo://acme/node/web-1", Until: time.Now().Add(identity.ClientLife)}
}

// A program gets the request on its standard input, what is wanted in its environment, and is heard on its standard output.
func TestSign(t *testing.T) {
	t.Parallel()
	out, err := program(t, `cat; echo " $1 $VIGO_FLEET $VIGO_ROLE $VIGO_NAME $VIGO_URI $VIGO_USAGE $VIGO_DAYS $VIGO_NOT_AFTER"`).Sign(t.Context(), request())
	if err != nil || !strings.HasPrefix(string(out), "the request word acme node web-1 vigo://acme/node/web-1 clientAuth 7 20") {
		t.Errorf("%s, %v", out, err)
	}
	r := request()
	r.Names, r.Peer.Role = []string{identity.ServerName, "192.0.2.1"}, identity.RoleService
	if out, err := program(t, `echo $VIGO_USAGE $VIGO_NAMES`).Sign(t.Context(), r); err != nil ||
		string(out) != "serverAuth URI:vigo://acme/node/web-1,DNS:report.vigo.internal,IP:192.0.2.1\n" {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := program(t, `echo "the vault is
sealed" >&2; exit 3`).Sign(t.Context(), request()); err == nil || !strings.Contains(err.Error(), "exit status 3: the vault is; sealed") {
		t.Errorf("%v", err)
	}
}

// Status 0 approves, 1 refuses, and everything else decides nothing.
func TestApprove(t *testing.T) {
	t.Parallel()
	seen := filepath.Join(t.TempDir(), "seen.json")
	token := &identity.Grant{ID: "abc", Names: "web-*"}
	r := hook.Request{Operation: "enroll", Fleet: "acme", Node: "web-1", Role: identity.RoleNode, Token: token, Time: time.Unix(1e9, 0).UTC()}
	if err := program(t, "cat > "+seen).Approve(t.Context(), r); err != nil {
		t.Errorf("yes: %v", err)
	}
	var got hook.Request
	data, err := os.ReadFile(seen)
	if err == nil {
		err = json.Unmarshal(data, &got)
	}
	if err != nil || got.Version != 1 || got.Node != "web-1" || got.Token.Names != "web-*" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := program(t, "echo not in the inventory >&2; exit 1").Approve(t.Context(), r); !errors.Is(err, hook.ErrRefused) || !strings.Contains(err.Error(), "not in the inventory") {
		t.Errorf("no: %v", err)
	}
	if err := program(t, "exit 2").Approve(t.Context(), r); err == nil || errors.Is(err, hook.ErrRefused) {
		t.Errorf("a program that fails: %v", err)
	}
	dead, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := program(t, "sleep 60").Approve(dead, r); err == nil || errors.Is(err, hook.ErrRefused) {
		t.Errorf("a program that does not end: %v", err)
	}
}

// A program that is not there shows when it is named.
func TestNew(t *testing.T) {
	t.Parallel()
	m, err := machine.New(machine.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := hook.New("/nowhere/sign", m.Host().Run); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := hook.New("  ", m.Host().Run); err == nil {
		t.Error("nothing is a program")
	}
}
