package ocistore_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/trust"
)

const cosignDir = "../trust/testdata/cosign/"

func TestWhatCosignMadeIsAcceptedOrRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	pem, err := os.ReadFile(cosignDir + "ecdsa.pub")
	if err != nil {
		t.Fatal(err)
	}
	for layout, want := range map[string]struct{ name, says string }{
		"golden":   {},
		"attested": {bundle.Predicate, "https://example.test/predicate"},
		"otherkey": {bundle.WrongKey, "not trusted"},
	} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			v, err := trust.NewKeyVerifier(pem, clock)
			if err != nil {
				t.Fatal(err)
			}
			store := ocistore.NewLayout(cosignDir + layout)
			d, err := store.Resolve(t.Context(), "v1")
			if err != nil {
				t.Fatal(err)
			}
			err = v.Signature(t.Context(), store, d)
			if want.name == "" {
				if err != nil {
					t.Fatalf("refused what cosign signed: %v", err)
				}
				return
			}
			var r *trust.Refusal
			if !errors.As(err, &r) || r.Name != want.name || !strings.Contains(r.Detail, want.says) {
				t.Fatalf("got %v, want refusal %q that says %q", err, want.name, want.says)
			}
			t.Log(err)
		})
	}
}
