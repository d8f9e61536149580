package programs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"vigo.dev/pkg/trust"
)

// TwoKeys has a controller that does not run yet trust two people to flip the modes of channel stable together, and returns the
// root document and the paths of their keys. vigo runs a command, which must succeed.
func TwoKeys(t testing.TB, vigo func(arguments ...string) string, data, dir string) (root string, keys [2]string) {
	t.Helper()
	root = filepath.Join(data, "keys/root.json")
	desk := filepath.Join(dir, "desk")
	vigo("trust", "init", "--data", data)
	if err := os.Mkdir(desk, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"ada", "ben"} {
		keys[i] = filepath.Join(dir, name+".key")
		public := filepath.Join(dir, name+".pub")
		if err := writeKey(keys[i], public); err != nil {
			t.Fatal(err)
		}
		vigo("trust", "add-key", root, "modes/stable", public, "--threshold", fmt.Sprint(i+1), "--dir", desk)
	}
	proposal := filepath.Join(desk, "root-2.json")
	vigo("trust", "sign", proposal, "--key", filepath.Join(data, "keys/root.key"))
	vigo("trust", "publish", proposal, "--data", data)
	return root, keys
}

// writeKey makes a key and writes both halves of it, in PEM.
func writeKey(private, public string) error {
	signer, err := trust.NewKey()
	if err != nil {
		return err
	}
	secret, err := signer.PEM()
	return errors.Join(err, os.WriteFile(private, secret, 0o600), os.WriteFile(public, signer.Public().PEM(), 0o644))
}
