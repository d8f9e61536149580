// Package sops reads files that SOPS has encrypted with age recipients: YAML, JSON, ENV and INI. It is the format alone, as
// https://github.com/getsops/sops writes it since version 3.0; the library of SOPS itself brings the clients of four clouds
// along.
//
// It refuses files whose MAC does not fit, files whose data key is shared out among groups, and to write any file.
package sops

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
)

// The limits of a file.
const (
	maxFile   = 1 << 20
	maxLeaves = 20_000
	maxDepth  = 32
)

// ErrMAC says that a file was changed by somebody who could not do it with SOPS.
var ErrMAC = errors.New("its MAC does not fit: it was changed by hand, or by somebody who cannot read it")

// ErrNotSOPS says that a file is none of SOPS.
var ErrNotSOPS = errors.New("it is no file that SOPS has encrypted")

// A leaf is one value, or one comment, in the order of the file.
type leaf struct {
	path    []string // keys that lead to it; items of lists have none of their own
	name    string   // keys and indexes, with / between them
	text    string   // as written
	typ     string   // of a value that is not encrypted: str, int, float, bool
	comment bool
}

// document is a file taken apart.
type document struct {
	leaves []leaf
	meta   metadata
}

// metadata is what SOPS says of a file, as far as it is used.
type metadata struct {
	Age               []ageKey  `json:"age"`
	KeyGroups         []any     `json:"key_groups"`
	LastModified      time.Time `json:"lastmodified"`
	MAC               string    `json:"mac"`
	Version           string    `json:"version"`
	UnencryptedSuffix string    `json:"unencrypted_suffix"`
	EncryptedSuffix   string    `json:"encrypted_suffix"`
	UnencryptedRegex  string    `json:"unencrypted_regex"`
	EncryptedRegex    string    `json:"encrypted_regex"`
	// These look at comments, of which not every format keeps enough.
	UnencryptedCommentRegex string `json:"unencrypted_comment_regex"`
	EncryptedCommentRegex   string `json:"encrypted_comment_regex"`
	MACOnlyEncrypted        bool   `json:"mac_only_encrypted"`
}

type ageKey struct {
	Recipient string `json:"recipient"`
	Enc       string `json:"enc"`
}

// Decrypt returns the values of a file by their names: keys and indexes of lists with / between them. decrypt opens the data
// key, which is an age file.
func Decrypt(file string, data []byte, decrypt func([]byte) ([]byte, error)) (map[string]string, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("it has %d bytes, more than the %d that are allowed", len(data), maxFile)
	}
	doc, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	if len(doc.leaves) > maxLeaves {
		return nil, fmt.Errorf("it has more than %d values", maxLeaves)
	}
	key, err := doc.meta.dataKey(decrypt)
	if err != nil {
		return nil, err
	}
	return doc.open(key)
}

// Names returns the names of the values of a file, without opening any.
func Names(file string, data []byte) ([]string, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("it has %d bytes, more than the %d that are allowed", len(data), maxFile)
	}
	doc, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, l := range doc.leaves {
		if !l.comment {
			names = append(names, l.name)
		}
	}
	return names, nil
}

func parse(file string, data []byte) (document, error) {
	switch ext := path.Ext(file); ext {
	case ".yaml", ".yml":
		return parseYAML(data)
	case ".json":
		return parseJSON(data)
	case ".env":
		return parseEnv(data)
	case ".ini":
		return parseINI(data)
	default:
		return document{}, fmt.Errorf("%q is the end of no name that SOPS gives meaning to", ext)
	}
}

// dataKey opens the key of the file with the first recipient that fits.
func (m metadata) dataKey(decrypt func([]byte) ([]byte, error)) ([]byte, error) {
	if m.MAC == "" {
		return nil, ErrNotSOPS
	}
	if len(m.KeyGroups) > 0 {
		return nil, errors.New("its key is shared out among key groups, which cannot be read here")
	}
	if len(m.Age) == 0 {
		return nil, fault.WithHint(errors.New("it is not encrypted to any age recipient"), "sops --add-age RECIPIENT -r -i FILE")
	}
	var failed error
	for _, one := range m.Age {
		key, err := decrypt([]byte(one.Enc))
		if err != nil {
			failed = err
			continue
		}
		if len(key) != 32 {
			return nil, errors.New("its data key is not one of 256 bits")
		}
		return key, nil
	}
	return nil, failed
}

// open decrypts every value and compares the MAC, which is over all of them in order.
func (d document) open(key []byte) (map[string]string, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	rule, err := d.meta.rule()
	if err != nil {
		return nil, err
	}
	sum := sha512.New()
	if d.meta.MACOnlyEncrypted {
		sum.Write(macOnlyEncrypted)
	}
	values := make(map[string]string, len(d.leaves))
	for _, l := range d.leaves {
		text, typ, encrypted := l.text, l.typ, rule(l.path)
		if encrypted {
			text, typ, err = decryptValue(block, l.text, strings.Join(l.path, ":")+":")
			if err != nil && !l.comment {
				return nil, fmt.Errorf("value %s: %w", l.name, err)
			}
		}
		if l.comment {
			if err == nil && encrypted && typ == "str" { // as SOPS wrote them before they had a type of their own
				sum.Write([]byte(text))
			}
			continue
		}
		if encrypted || !d.meta.MACOnlyEncrypted {
			sum.Write([]byte(hashed(text, typ)))
		}
		if typ == "bool" {
			text = strings.ToLower(text)
		}
		values[l.name] = text
	}
	want, _, err := decryptValue(block, d.meta.MAC, d.meta.LastModified.Format(time.RFC3339))
	if err != nil {
		return nil, ErrMAC
	}
	if subtle.ConstantTimeCompare([]byte(fmt.Sprintf("%X", sum.Sum(nil))), []byte(want)) != 1 {
		return nil, ErrMAC
	}
	return values, nil
}

// macOnlyEncrypted begins the MAC of files of which only encrypted values are in it (MACOnlyEncryptedInitialization).
var macOnlyEncrypted = []byte{0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0xb, 0xb, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69}

// hashed is a value as the MAC takes it in.
func hashed(text, typ string) string {
	if typ == "bool" && text != "" { // True and False, as Python wrote them once
		return strings.ToUpper(text[:1]) + text[1:]
	}
	return text
}

var value = regexp.MustCompile(`^ENC\[AES256_GCM,data:([A-Za-z0-9+/=]*),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:([a-z]+)\]$`)

// decryptValue opens one value. What it belongs to is authenticated with it.
func decryptValue(block cipher.Block, text, belongs string) (plain, typ string, err error) {
	if text == "" {
		return "", "str", nil // SOPS leaves empty values as they are
	}
	m := value.FindStringSubmatch(text)
	if m == nil {
		return "", "", errors.New("it is not encrypted, and by the rules of the file should be")
	}
	var parts [3][]byte
	for i := range parts {
		var err error
		if parts[i], err = base64.StdEncoding.DecodeString(m[i+1]); err != nil {
			return "", "", errors.New("it is damaged")
		}
	}
	data, iv, tag := parts[0], parts[1], parts[2]
	if len(iv) == 0 || len(iv) > 64 || len(tag) != 16 {
		return "", "", errors.New("it is damaged")
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, len(iv))
	if err != nil {
		return "", "", err
	}
	opened, err := gcm.Open(nil, iv, append(bytes.Clone(data), tag...), []byte(belongs))
	if err != nil {
		return "", "", errors.New("it was changed, or moved from another place")
	}
	return string(opened), m[4], nil
}

// rule says which values are encrypted, by the keys that lead to them.
func (m metadata) rule() (func(path []string) bool, error) {
	if m.UnencryptedCommentRegex != "" || m.EncryptedCommentRegex != "" {
		return nil, errors.New("which of its values are encrypted is decided by comments, which cannot be read here")
	}
	any := func(match func(string) bool) func([]string) bool {
		return func(path []string) bool {
			for _, key := range path {
				if match(key) {
					return true
				}
			}
			return false
		}
	}
	not := func(f func([]string) bool) func([]string) bool { return func(p []string) bool { return !f(p) } }
	pattern := func(text string) (func([]string) bool, error) {
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("%.80q is no pattern: %w", text, err)
		}
		return any(re.MatchString), nil
	}
	switch {
	case m.UnencryptedSuffix != "":
		return not(any(func(key string) bool { return strings.HasSuffix(key, m.UnencryptedSuffix) })), nil
	case m.EncryptedSuffix != "":
		return any(func(key string) bool { return strings.HasSuffix(key, m.EncryptedSuffix) }), nil
	case m.UnencryptedRegex != "":
		f, err := pattern(m.UnencryptedRegex)
		if err != nil {
			return nil, err
		}
		return not(f), nil
	case m.EncryptedRegex != "":
		return pattern(m.EncryptedRegex)
	}
	return func([]string) bool { return true }, nil
}
