package inventory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is left out of two mappings is the same in both, and what is left is what differs, or more.
func TestNarrowed(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(9, 9))
	values := []any{"", `,"`, `\`, `{"a":1},`, 7, nil, true, []any{",", map[string]any{"x": "}"}}, map[string]any{"k0": ",", "k1": []any{}}, map[string]any{}, "ä,"}
	narrower := 0
	for range 20_000 {
		was := map[string]any{}
		for i := range rnd.IntN(6) {
			was[fmt.Sprintf(`k%d,"`, i)] = values[rnd.IntN(len(values))]
		}
		became := maps.Clone(was)
		for range rnd.IntN(3) {
			key := fmt.Sprintf(`k%d,"`, rnd.IntN(7))
			if became[key] = values[rnd.IntN(len(values))]; rnd.IntN(3) == 0 {
				delete(became, key)
			}
		}
		a, b := encode(t, was), encode(t, became)
		x, y := narrowed(a, b)
		if len(x) < len(a) {
			narrower++
		}
		differs(t, a, b, decodeMap(t, x), decodeMap(t, y))
	}
	if narrower < 5000 {
		t.Errorf("only %d became smaller", narrower)
	}
}

func encode(t *testing.T, v any) json.RawMessage {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decodeMap(t *testing.T, text json.RawMessage) (m map[string]any) {
	t.Helper()
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

// differs checks that two mappings have lost only what they have in common.
func differs(t *testing.T, a, b json.RawMessage, x, y map[string]any) {
	t.Helper()
	for _, m := range []struct {
		whole       json.RawMessage
		left, other map[string]any
		otherWhole  json.RawMessage
	}{{a, x, y, b}, {b, y, x, a}} {
		otherWhole := decodeMap(t, m.otherWhole)
		for key, value := range decodeMap(t, m.whole) {
			if got, there := m.left[key]; there && reflect.DeepEqual(got, value) {
				continue
			}
			_, there := m.left[key]
			_, elsewhere := m.other[key]
			if there || elsewhere || !reflect.DeepEqual(otherWhole[key], value) {
				t.Fatalf("of %s and %s are left %v and %v", a, b, x, y)
			}
		}
	}
}

// FuzzNarrowed: whatever the texts are, it ends; of two mappings it makes two, of which, if no key is there twice, what differs is as
// it was.
func FuzzNarrowed(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":2}`), []byte(`{"a":1,"b":3}`))
	f.Add([]byte(`{"x,":":"}`), []byte(`{"a":"b",":":":"}`))
	f.Add([]byte(`{`), []byte(`}`))
	f.Add([]byte(`{}`), []byte(` {}`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, y := narrowed(a, b)
		var was, became map[string]json.RawMessage
		if json.Unmarshal(a, &was) != nil || json.Unmarshal(b, &became) != nil || was == nil || became == nil {
			return
		}
		if !json.Valid(x) || !json.Valid(y) {
			t.Fatalf("of %s and %s are left %s and %s", a, b, x, y)
		}
		if keys(a) != len(was) || keys(b) != len(became) {
			return
		}
		var left, leftOther map[string]json.RawMessage
		if err := errors.Join(json.Unmarshal(x, &left), json.Unmarshal(y, &leftOther)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(differing(was, became), differing(left, leftOther)); diff != "" {
			t.Errorf("of %s and %s are left %s and %s: %s", a, b, x, y, diff)
		}
	})
}

// keys counts the keys of a mapping, each as often as it is there.
func keys(mapping []byte) (n int) {
	decoder := json.NewDecoder(bytes.NewReader(mapping))
	for depth, key := 0, false; ; {
		token, err := decoder.Token()
		if err != nil {
			return n
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			key = depth == 1
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 1 {
			if key {
				n++
			}
			key = !key
		}
	}
}

// differing are both values of the keys that have not the same in two mappings.
func differing(a, b map[string]json.RawMessage) map[string][2]string {
	out := map[string][2]string{}
	for _, m := range []map[string]json.RawMessage{a, b} {
		for key := range m {
			if !bytes.Equal(a[key], b[key]) {
				out[key] = [2]string{string(a[key]), string(b[key])}
			}
		}
	}
	return out
}
