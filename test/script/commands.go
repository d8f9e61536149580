package script

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/trust"
	"vigo.dev/pkg/trust/trusttest"
)

// exits runs a program and compares its exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want := status(ts, "exits", neg, args)
	if got := exitCode(ts, ts.Exec(args[1], args[2:]...)); got != want {
		ts.Fatalf("%s ended with status %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func status(ts *testscript.TestScript, name string, neg bool, args []string) int {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: %s CODE PROGRAM ARG...", name)
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	return want
}

func exitCode(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// quiet holds that the last program wrote nothing to standard error, but for what a busy machine makes it say: what it does for
// more than a second.
func quiet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: quiet")
	}
	for line := range strings.Lines(ts.ReadFile("stderr")) {
		if !strings.HasPrefix(line, "vigo") || !strings.HasSuffix(line, " …\n") {
			ts.Fatalf("standard error has: %s", line)
		}
	}
}

// until runs a program again and again until it ends with a status; what it waits for happens in another process, which
// says nothing of it elsewhere.
func until(ts *testscript.TestScript, neg bool, args []string) {
	want := status(ts, "until", neg, args)
	for deadline := time.Now().Add(time.Minute); ; {
		got := exitCode(ts, ts.Exec(args[1], args[2:]...))
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s still ends with status %d, want %d", strings.Join(args[1:], " "), got, want)
		}
	}
}

// key makes a pair of signing keys.
func key(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: key NAME")
	}
	signer, err := trust.NewKey()
	ts.Check(err)
	private, err := signer.PEM()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), private, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pub"), signer.Public().PEM(), 0o644))
}

// cosignKey makes a pair of signing keys of which the private one is encrypted as `cosign generate-key-pair` does it.
func cosignKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cosign-key NAME PASSWORD")
	}
	key(ts, false, args[:1])
	path := ts.MkAbs(args[0] + ".key")
	data, err := os.ReadFile(path)
	ts.Check(err)
	block, _ := pem.Decode(data)
	sealed, err := encrypted.Encrypt(block.Bytes, []byte(args[1]))
	ts.Check(err)
	ts.Check(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: sealed}), 0o600))
}

// sigstores is under what key an environment keeps the Sigstore instance of its script.
type sigstores struct{}

// keyless signs what a tag of a store leads to without a key, by the Sigstore instance of the script.
func keyless(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 && len(args) != 4 {
		ts.Fatalf("usage: keyless [REPOSITORY TAG SUBJECT ISSUER]")
	}
	ctx := context.Background()
	sigstore := ts.Value(sigstores{}).(*trusttest.Sigstore)
	trusted, err := sigstore.TrustedRoot()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("trusted_root.json"), trusted, 0o644))
	if len(args) == 0 {
		return
	}
	where := args[0]
	if dir, ok := strings.CutPrefix(where, "oci-layout:"); ok {
		where = "oci-layout:" + ts.MkAbs(dir)
	}
	store, err := ocistore.Open(ctx, where, ocistore.Options{Username: "ci", Password: registryToken})
	ts.Check(err)
	d, err := store.Resolve(ctx, args[1])
	ts.Check(err)
	signature, err := sigstore.SignManifest(d.Digest, trust.Identity{Subject: args[2], Issuer: args[3]})
	ts.Check(err)
	_, err = trust.Attach(ctx, store, d, signature, time.Now())
	ts.Check(err)
}

// corrupt flips one bit in the middle of a file.
func corrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: corrupt FILE")
	}
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	if len(data) == 0 {
		ts.Fatalf("%s is empty", args[0])
	}
	data[len(data)/2] ^= 1
	ts.Check(os.WriteFile(path, data, 0o644))
}

// registryToken is the password with which scripts may push.
const registryToken = "let-me-push"

// startRegistry serves an empty registry without TLS; who pushes needs REGISTRY_TOKEN as the password.
func startRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: registry")
	}
	r, err := registry.New(registry.Options{Dir: ts.MkAbs("registry"), Token: registryToken})
	ts.Check(err)
	server := httptest.NewServer(r)
	ts.Defer(func() {
		server.Close()
		ts.Check(r.Close())
	})
	ts.Setenv("REGISTRY_TOKEN", registryToken)
	ts.Setenv("REGISTRY", strings.TrimPrefix(server.URL, "http://"))
}
