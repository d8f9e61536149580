package keys_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/keys"
	"vigo.dev/pkg/machine"
	"vigo.dev/pkg/trust"
)

// The test program is also the plug-in of the tests: keys.test plugin KEY [FAULT].
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "plugin" {
		if err := plugin(os.Args[2], strings.Join(os.Args[3:], " ")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// plugin answers one request with the key in a file.
func plugin(path, fault string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return err
	}
	var q struct {
		Version         int
		Operation, Hash string
		Data            []byte
	}
	if err := json.NewDecoder(os.Stdin).Decode(&q); err != nil {
		return err
	}
	answer := map[string]any{}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		der, _ := x509.MarshalPKIXPublicKey(k.Public())
		answer["publicKey"] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		if q.Operation == "sign" && q.Hash == "sha256" {
			answer["signature"], err = ecdsa.SignASN1(rand.Reader, k, q.Data)
		}
	case ed25519.PrivateKey:
		der, _ := x509.MarshalPKIXPublicKey(k.Public())
		answer["publicKey"] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		if q.Operation == "sign" && q.Hash == "none" {
			answer["signature"] = ed25519.Sign(k, q.Data)
		}
	}
	switch {
	case err != nil:
		return err
	case fault == "refuse" && q.Operation == "sign":
		return errors.New("the quota is used up")
	case fault == "lie" && q.Operation == "sign":
		answer["signature"] = []byte("not a signature")
	case fault == "chat":
		_, err := fmt.Println("hello")
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

func options(t *testing.T, env map[string]string) keys.Options {
	t.Helper()
	m, err := machine.New(machine.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return keys.Options{Getenv: func(name string) string { return env[name] }, Runner: m.Host().Run}
}

// write keeps a private key as PKCS #8 and returns its path.
func write(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bundle.key")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func ecdsaKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, key)
}

// signs fails unless what the signer signs is accepted by its public key, as agents verify it.
func signs(t *testing.T, signer *trust.Signer) {
	t.Helper()
	store := bundletest.NewMemory()
	built, err := bundle.Build(bundle.Config{Fleet: "acme", Channels: []string{"stable"}}, []bundle.LayerInput{{Files: []bundle.File{{Path: "a", Data: []byte("a")}}}})
	if err == nil {
		err = built.Push(t.Context(), store, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.SignManifest(t.Context(), built.Descriptor)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Attach(t.Context(), store, built.Descriptor, signature, time.Now()); err != nil {
		t.Fatal(err)
	}
	v, err := trust.NewKeyVerifier(signer.Public().PEM(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Signature(t.Context(), store, built.Descriptor); err != nil {
		t.Error(err)
	}
}

func TestKeysSignWhereverTheyAre(t *testing.T) {
	t.Parallel()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file, edFile := ecdsaKey(t), write(t, ed)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, map[string]string{"BUNDLE_KEY": string(text)})
	for name, ref := range map[string]string{
		"a path":                  file,
		"file:":                   "file:" + file,
		"an environment variable": "env:BUNDLE_KEY",
		"a plug-in":               "exec:" + self + " plugin " + file,
		"a plug-in with Ed25519":  "exec:" + self + " plugin " + edFile,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signer, err := keys.Open(t.Context(), ref, o)
			if err != nil {
				t.Fatal(err)
			}
			signs(t, signer)
		})
	}
}

func TestKeysThatCannotBeUsedShowAtOnce(t *testing.T) {
	t.Parallel()
	file := ecdsaKey(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, nil)
	plugin := "exec:" + self + " plugin " + file
	for ref, want := range map[string]string{
		"/nowhere/bundle.key":            "no such file",
		t.TempDir():                      "no file with a key",
		"env:NOTHING":                    "NOTHING is not set",
		"vault:secret/bundle":            `"vault" is no place for keys`,
		"exec:":                          "names no program",
		"exec:/nowhere/sign":             "/nowhere/sign",
		plugin + " refuse":               "the quota is used up",
		plugin + " lie":                  "does not verify",
		plugin + " chat":                 "did not answer with JSON",
		"pkcs11:object=bundle":           "no token",
		"pkcs11:token=a;object=b":        "module-path",
		"pkcs11:token=a;object=b;slot=1": `attribute "slot"`,
		"pkcs11:token=a;object=b?module-path=/x&pin-value=1234": "seen by everybody",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			_, err := keys.Open(t.Context(), ref, o)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", ref, err, want)
			}
		})
	}
}

// A key in a token of SoftHSM, made with OpenSC as an operator would.
func TestAKeyInAToken(t *testing.T) {
	module := "/usr/lib/softhsm/libsofthsm2.so"
	if _, err := exec.LookPath("pkcs11-tool"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("needs the packages opensc and softhsm2; the gate installs them")
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "tokens"), 0o700),
		os.WriteFile(conf, []byte("directories.tokendir = "+filepath.Join(dir, "tokens")+"\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "pin"), []byte("1234\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	for _, argv := range [][]string{
		{"softhsm2-util", "--init-token", "--free", "--label", "vigo", "--pin", "1234", "--so-pin", "5678"},
		{"pkcs11-tool", "--module", module, "--token-label", "vigo", "--login", "--pin", "1234", "--keypairgen", "--key-type", "EC:prime256v1", "--label", "bundle", "--id", "0a"},
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", argv, err, out)
		}
	}
	runner := &watched{Runner: options(t, nil).Runner}
	o := keys.Options{Getenv: os.Getenv, Runner: runner}
	query := "?module-path=" + module + "&pin-source=file:" + filepath.Join(dir, "pin")
	for _, ref := range []string{"pkcs11:token=vigo;object=bundle" + query, "pkcs11:token=vigo;id=%0a;type=private" + query} {
		signer, err := keys.Open(t.Context(), ref, o)
		if err != nil {
			t.Fatal(err)
		}
		signs(t, signer)
	}
	if strings.Contains(runner.seen, "1234") {
		t.Errorf("the PIN is on a command line: %s", runner.seen)
	}
	if _, err := keys.Open(t.Context(), "pkcs11:token=vigo;object=other"+query, o); err == nil {
		t.Error("a key that is not there is opened")
	}
}

// watched remembers the command lines.
type watched struct {
	host.Runner
	seen string
}

// Run implements host.Runner.
func (w *watched) Run(ctx context.Context, c host.Command) (host.Result, error) {
	w.seen += strings.Join(c.Argv, " ") + "\n"
	return w.Runner.Run(ctx, c)
}
