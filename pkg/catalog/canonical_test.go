package catalog

import (
	"bytes"
	"encoding/json"
	"testing"
)

// Agents keep digests over what json.Encoder wrote, so the bytes may not change.
func TestAppendJSONWritesWhatJSONDoes(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		nil, true, false, "", "plain", "two\nlines\n", `quoted "a" and \b`, "<&>", "tab\tbell\a", "ünï\u2028\u2029", "\xff", 1.0, 1e21, -0.5, 7, int64(9),
		[]string(nil), []string{}, []string{"a", "b"}, []any(nil), []any{}, []any{"a", 1.5, nil, []any{true}}, map[string]any(nil),
		map[string]any{}, map[string]any{"b": "1", "a": map[string]any{"z": nil, "y<": []any{}}}, []map[string]any{{"a": 1}},
	} {
		agree(t, v)
	}
}

func agree(t *testing.T, v any) {
	t.Helper()
	var want bytes.Buffer
	if err := json.NewEncoder(&want).Encode(v); err != nil {
		t.Fatal(err)
	}
	got, err := appendJSON(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != want.String() {
		t.Errorf("%#v: got %s, want %s", v, got, want.String())
	}
}

func FuzzAppendJSON(f *testing.F) {
	f.Add(`{"mode": "0644", "content": "a\nb \u003c", "list": [1, true, null, {"x": "\u2028"}]}`)
	f.Add(`["\ud800", "é", "\\\"", 1e300]`)
	f.Fuzz(func(t *testing.T, text string) {
		var v any
		if json.Unmarshal([]byte(text), &v) == nil {
			agree(t, v)
		}
	})
}
