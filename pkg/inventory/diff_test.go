package inventory_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"vigo.dev/pkg/inventory"
)

// TestDiff tells by their paths which values of a document are others.
func TestDiff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ was, became, want string }{
		{`{"a":1}`, `{"a":1}`, ""},
		{`{"openssl":{"version":"3.0.16","arch":"amd64"}}`, `{"openssl":{"version":"3.0.17","arch":"amd64"}}`, "openssl.version: 3.0.16 -> 3.0.17"},
		{`{"libssl1.1":{"version":"1"}}`, `{"bash":{"version":"5"}}`, `bash: absent -> {"version":"5"}; ["libssl1.1"]: {"version":"1"} -> absent`},
		{`{"a":{"x.y":1}}`, `{"a":{"x.y":2}}`, `a["x.y"]: 1 -> 2`},
		{`{"a":null}`, `{}`, "a: null -> absent"},
		{`["eth0","eth1","eth1"]`, `["eth1","eth2"]`, "[]: eth0 -> absent; []: eth1 -> absent; []: absent -> eth2"},
		{`{"l":[1,2]}`, `{"l":[2,1]}`, "l:  -> in another order"},
		{`{"l":[1]}`, `{"l":"1"}`, "l: [1] -> 1"},
		{`"debian"`, `"suse"`, ": debian -> suse"},
	} {
		changes, more, err := inventory.Diff([]byte(c.was), []byte(c.became), 10)
		var got []string
		for _, ch := range changes {
			got = append(got, fmt.Sprintf("%s: %s -> %s", ch.Field, ch.From, ch.To))
		}
		if text := strings.Join(got, "; "); more != 0 || err != nil || text != c.want {
			t.Errorf("%s, %s: %s (%d more, %v), want %s", c.was, c.became, text, more, err, c.want)
		}
	}
	long := strings.Repeat("ä", 400)
	changes, more, err := inventory.Diff([]byte(`{"a":1,"b":1,"c":1}`), []byte(`{"a":"`+long+`","b":2,"c":2}`), 2)
	if err != nil || len(changes) != 2 || more != 1 || len(changes[0].To) > 170 || !utf8.ValidString(changes[0].To) {
		t.Errorf("limits: %v, %d more, %v", changes, more, err)
	}
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	if changes, _, err := inventory.Diff([]byte(deep), []byte(strings.Replace(deep, "1", "2", 1)), 2); err != nil || len(changes) != 1 || strings.Count(changes[0].Field, "a") > 9 {
		t.Errorf("deep documents: %v, %v", changes, err)
	}
	if _, _, err := inventory.Diff([]byte(`{"a"`), []byte(`{`), 2); err == nil {
		t.Error("what is no document is compared")
	}
}

// FuzzDiff: whatever nodes send is compared within limits, and equal documents do not differ.
func FuzzDiff(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"c"}]}`), []byte(`{"a":[{"b":"d"},1]}`))
	f.Add([]byte(`[]`), []byte(`null`))
	f.Fuzz(func(t *testing.T, was, became []byte) {
		changes, _, _ := inventory.Diff(was, became, 5)
		if len(changes) > 5 {
			t.Errorf("%d changes", len(changes))
		}
		for _, c := range changes {
			if len(c.Field)+len(c.From)+len(c.To) > 3*200 {
				t.Errorf("a change of %d bytes", len(c.Field)+len(c.From)+len(c.To))
			}
		}
		if same, more, err := inventory.Diff(was, was, 5); len(same)+more > 0 || err != nil {
			t.Errorf("%q differs from itself", was)
		}
	})
}
