package deliver

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/atomicfile"
)

// What keys begin with, as in https://www.standardwebhooks.com.
const (
	privatePrefix = "whsk_"
	publicPrefix  = "whpk_"
	version       = "v1a," // of signatures with Ed25519
)

// openKey reads the key for signing, and with fresh makes it when there is none.
func openKey(path string, fresh bool) (ed25519.PrivateKey, error) {
	text, err := secret("key for webhooks", path)
	if errors.Is(err, fs.ErrNotExist) && fresh {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, fmt.Errorf("making the key for webhooks: %w", err)
		}
		if err := atomicfile.Write(path, []byte(privatePrefix+base64.StdEncoding.EncodeToString(key.Seed())+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("making the key for webhooks: %w", err)
		}
		return key, nil
	}
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("reading the key for webhooks: %w", err)
	} else if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("reading the key for webhooks: %s can be read by others: chmod 600", path)
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, privatePrefix))
	if err != nil || len(seed) != ed25519.SeedSize || !strings.HasPrefix(text, privatePrefix) {
		return nil, fmt.Errorf("reading the key for webhooks: %s does not hold %s and 32 bytes in base64", path, privatePrefix)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// PublicText is the half of a key that receivers check signatures with.
func PublicText(key ed25519.PrivateKey) string {
	public, _ := key.Public().(ed25519.PublicKey)
	return publicPrefix + base64.StdEncoding.EncodeToString(public)
}

// ParsePublic reads what [PublicText] writes.
func ParsePublic(text string) (ed25519.PublicKey, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, publicPrefix))
	if err != nil || len(raw) != ed25519.PublicKeySize || !strings.HasPrefix(text, publicPrefix) {
		return nil, fmt.Errorf("%.80q is not a public key for webhooks", text)
	}
	return raw, nil
}

func signed(id string, at time.Time, body []byte) []byte {
	return append([]byte(id+"."+strconv.FormatInt(at.Unix(), 10)+"."), body...)
}

func sign(key ed25519.PrivateKey, id string, at time.Time, body []byte) string {
	return version + base64.StdEncoding.EncodeToString(ed25519.Sign(key, signed(id, at, body)))
}

// tolerance is how old a webhook may be that is believed, and how far ahead.
const tolerance = 5 * time.Minute

// Verify checks the headers of a webhook (webhook-id, webhook-timestamp, webhook-signature) against its body, as a receiver does.
func Verify(key ed25519.PublicKey, id, timestamp, signature string, body []byte, now time.Time) error {
	unix, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return fmt.Errorf("webhook-timestamp: %.40q is not a number of seconds", timestamp)
	}
	at := time.Unix(unix, 0)
	if age := now.Sub(at); age > tolerance || age < -tolerance {
		return fmt.Errorf("webhook-timestamp: it was signed at %s, too far from now", at.UTC().Format(time.RFC3339))
	}
	for _, one := range strings.Fields(signature) {
		text, ours := strings.CutPrefix(one, version)
		if raw, err := base64.StdEncoding.DecodeString(text); ours && err == nil && ed25519.Verify(key, signed(id, at, body), raw) {
			return nil
		}
	}
	return errors.New("webhook-signature: none is of the key")
}
