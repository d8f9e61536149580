package sqlstore

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"vigo.dev/pkg/identity"
)

// TestEnroll takes labels and channel from the grant, counts the uses, and answers a repeated request again.
func TestEnroll(t *testing.T) { everyDatabase(t, testEnroll) }

func testEnroll(t *testing.T, fresh opener) {
	d, again := fresh(t)
	s := secretOf(t, d, identity.Grant{Uses: 2, Labels: map[string]string{"role": "web"}, Channel: "early"})
	n := enroll(t, d, s, "web-1", "key 1")
	if n.Labels["role"] != "web" || n.Channel != "early" || n.Token != s.ID {
		t.Errorf("enrolled as %+v", n)
	}
	enroll(t, d, s, "web-1", "key 1") // the answer was lost
	enroll(t, d, s, "web-2", "key 2")
	if _, err := d.Enroll(t.Context(), s, Node{Name: "web-3", Key: []byte("key 3")}, allow("web-3")); !errors.Is(err, identity.ErrUsed) {
		t.Errorf("a third node: %v", err)
	}
	enroll(t, d, s, "web-2", "key 2") // also when the token is used up
	d = again()
	nodes, err := d.Nodes(t.Context())
	must(t, err)
	if len(nodes) != 2 || string(nodes[0].Key) != "key 1" || nodes[1].Labels["role"] != "web" {
		t.Errorf("after a restart: %+v", nodes)
	}
	grants, err := d.Tokens(t.Context())
	must(t, err)
	if len(grants) != 1 || grants[0].Used != 2 {
		t.Errorf("the grant after a restart: %+v", grants)
	}
}

// TestEnrollRefuses tokens that are wrong, in the same words whether the ID or the secret is.
func TestEnrollRefuses(t *testing.T) { everyDatabase(t, testEnrollRefuses) }

func testEnrollRefuses(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	s := secretOf(t, d, identity.Grant{})
	other := secretOf(t, d, identity.Grant{})
	unknown, err := identity.NewSecret(strings.Repeat("0", 64), false)
	must(t, err)
	mixed, err := identity.ParseSecret(strings.Replace(s.Text(), s.ID, other.ID, 1))
	must(t, err)
	said := map[string]bool{}
	for name, bad := range map[string]identity.Secret{"unknown": unknown, "secret of another": mixed} {
		_, err := d.Enroll(t.Context(), bad, Node{Name: "web-1", Key: []byte("k")}, allow("web-1"))
		if !errors.Is(err, identity.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
		said[fmt.Sprint(err)] = true
	}
	if len(said) != 1 {
		t.Errorf("the refusals tell what is wrong: %v", said)
	}
	enroll(t, d, s, "web-1", "key 1")
	if _, err := d.Enroll(t.Context(), s, Node{Name: "web-1", Key: []byte("key 2")}, allow("web-1")); !errors.Is(err, ErrTaken) {
		t.Errorf("a name that is taken: %v", err)
	}
	must(t, d.RevokeToken(t.Context(), s.ID, noon))
	if _, err := d.Enroll(t.Context(), s, Node{Name: "web-2", Key: []byte("key 3")}, allow("web-2")); !errors.Is(err, identity.ErrToken) {
		t.Errorf("a revoked token: %v", err)
	}
	if err := d.RevokeToken(t.Context(), "nonesuch", noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoking what is not there: %v", err)
	}
}

// TestTokenUsesRace lets exactly as many nodes in as the token allows, however many come at once.
func TestTokenUsesRace(t *testing.T) { everyDatabase(t, testTokenUsesRace) }

func testTokenUsesRace(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	s := secretOf(t, d, identity.Grant{Uses: 10})
	var wg sync.WaitGroup
	var mu sync.Mutex
	let := 0
	for i := range 60 {
		wg.Go(func() {
			name := fmt.Sprint("web-", i)
			_, err := d.Enroll(t.Context(), s, Node{Name: name, Key: []byte(name)}, allow(name))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				let++
			} else if !errors.Is(err, identity.ErrUsed) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	nodes, err := d.Nodes(t.Context())
	must(t, err)
	if let != 10 || len(nodes) != 10 {
		t.Errorf("%d were let in, %d are kept; the token allows 10", let, len(nodes))
	}
}

// TestRetire ends a key for ever; the name is free for another one, which starts with nothing of the old.
func TestRetire(t *testing.T) { everyDatabase(t, testRetire) }

func testRetire(t *testing.T, fresh opener) {
	d, again := fresh(t)
	s := secretOf(t, d, identity.Grant{})
	enroll(t, d, s, "web-1", "old key")
	d.PutHot(Hot{Node: "web-1", Seen: noon, Counter: 90, Doc: []byte("{}"), Facets: map[string]string{"os": "sha256:1"}})
	must(t, d.Retire(t.Context(), "web-1", "", noon))
	for _, name := range []string{"web-1", "web-2"} {
		if _, err := d.Enroll(t.Context(), s, Node{Name: name, Key: []byte("old key")}, allow(name)); !errors.Is(err, ErrKeyRetired) {
			t.Errorf("the retired key as %s: %v", name, err)
		}
	}
	if err := d.Retire(t.Context(), "nonesuch", "", noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("retiring what is not there: %v", err)
	}
	enroll(t, d, s, "web-1", "new key")
	d = again()
	nodes, err := d.Nodes(t.Context())
	must(t, err)
	hot, err := d.LoadHot(t.Context())
	must(t, err)
	if len(nodes) != 1 || !nodes[0].Retired.IsZero() || string(nodes[0].Key) != "new key" || len(hot) != 0 {
		t.Errorf("the new web-1 is %+v and has said %+v", nodes, hot)
	}
}

// TestEnrollAgain with the same key and another token keeps how far the node has counted: its old requests stay used.
func TestEnrollAgain(t *testing.T) { everyDatabase(t, testEnrollAgain) }

func testEnrollAgain(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	enroll(t, d, secretOf(t, d, identity.Grant{}), "web-1", "key")
	d.PutHot(Hot{Node: "web-1", Seen: noon, Counter: 90, Doc: []byte("{}")})
	settle(t, d)
	enroll(t, d, secretOf(t, d, identity.Grant{Channel: "early"}), "web-1", "key")
	hot, err := d.LoadHot(t.Context())
	must(t, err)
	if hot["web-1"].Counter != 90 {
		t.Errorf("the counter is %d", hot["web-1"].Counter)
	}
}
