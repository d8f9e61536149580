package up_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/up"
)

// TestNodesPullFromWhereTheyEnrolled has a service that listens on every address: none of them is the one by which a node
// reaches it, so it is the node that knows.
func TestNodesPullFromWhereTheyEnrolled(t *testing.T) {
	t.Parallel()
	keys, err := up.Keys(t.Context(), t.TempDir(), controller.KeyringOptions{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	stack, err := up.Open(t.Context(), up.Config{Data: t.TempDir(), Fleet: "acme", Listen: ":0", Channel: "stable", Interval: time.Minute,
		TrustRoot: keys.Root(), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- stack.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := stack.Close(); err != nil {
			t.Error(err)
		}
	}()
	token, err := stack.Credential(t.Context(), api.Operator{Name: "admin", Role: identity.RoleOperator}, "")
	if err != nil {
		t.Fatal(err)
	}
	operator, err := api.NewOperatorClient("https://"+stack.Local(), token, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	made, err := operator.CreateToken(t.Context(), api.TokenRequest{Uses: 1})
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(stack.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := api.Enrolling{URL: "https://localhost:" + port + "/", Token: made.Token, Node: "web-1", Agent: "test", Key: key, Now: time.Now}.Enroll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := "https://localhost:" + port + "/" + up.Repository
	if len(answer.Registry) != 1 || answer.Registry[0] != want {
		t.Errorf("the node is told to pull from %q, want %s", answer.Registry, want)
	}
	if host, _, err := net.SplitHostPort(stack.Advertise); err != nil || net.ParseIP(host) != nil {
		t.Errorf("people are told the address %q, which nobody can reach", stack.Advertise)
	}
}
