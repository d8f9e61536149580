package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the description of the API")

// TestReferenceOfAPI keeps docs/reference/openapi.json as the routes are.
func TestReferenceOfAPI(t *testing.T) {
	t.Parallel()
	const path = "../../docs/reference/openapi.json"
	want, err := json.MarshalIndent(OpenAPI(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is out of date: run make docs (%v)", path, err)
	}
}
