package secrets

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
)

// Decrypt opens an age file, armored or not.
func Decrypt(data []byte, identities []age.Identity) ([]byte, error) {
	if len(identities) == 0 {
		return nil, ErrNoIdentity
	}
	var r io.Reader = bytes.NewReader(data)
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte(armor.Header)) {
		r = armor.NewReader(bytes.NewReader(bytes.TrimSpace(data)))
	}
	plain, err := age.Decrypt(r, identities...)
	if err != nil {
		var no *age.NoIdentityMatchError
		if errors.As(err, &no) {
			return nil, fault.WithHint(errors.New("it is encrypted to other recipients than who opens it"),
				"add the recipient to "+RecipientsFile+", then: vigo secret rekey")
		}
		return nil, errors.New("it is no age file, or a damaged one") // age quotes what it finds, which may be a value in clear
	}
	value, err := io.ReadAll(io.LimitReader(plain, MaxValue+1))
	if err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	return value, nil
}

// Encrypt closes a value to recipients, armored, so that git shows it as text.
func Encrypt(value []byte, recipients []age.Recipient) ([]byte, error) {
	if len(recipients) == 0 {
		return nil, errors.New("encrypting: there are no recipients")
	}
	var out bytes.Buffer
	text := armor.NewWriter(&out)
	w, err := age.Encrypt(text, recipients...)
	if err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	if _, err := w.Write(value); err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	if err := errors.Join(w.Close(), text.Close()); err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	return out.Bytes(), nil
}

// RecipientsFile lists, one a line, who can open the values of a repository: age recipients and SSH public keys.
const RecipientsFile = policy.SecretsDir + "/recipients.txt"

const maxLines = 1000

// ParseRecipients reads a list of recipients. file is its name, for errors. What is wrong is returned all at once.
func ParseRecipients(file string, data []byte) ([]age.Recipient, error) {
	var all []age.Recipient
	var problems fault.Problems
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan() && n <= maxLines; n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r, err := parseRecipient(line)
		if err != nil {
			problems = append(problems, fault.Problem{Pos: fault.Pos{File: file, Line: n}, Msg: err.Error(), Code: "bad-recipient",
				Hint: "age1…, or an SSH public key of type ssh-ed25519 or ssh-rsa"})
			continue
		}
		all = append(all, r)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	if len(all) == 0 && len(problems) == 0 {
		problems = append(problems, fault.Problem{Pos: fault.Pos{File: file}, Msg: "it names no recipient", Code: "bad-recipient",
			Hint: "the controller prints its own: vigo secret recipient; add it with yours"})
	}
	return all, problems.Err()
}

func parseRecipient(line string) (age.Recipient, error) {
	switch {
	case strings.HasPrefix(line, "AGE-SECRET-KEY-"):
		return nil, errors.New("this is a private key: it must not be in a repository, and is not shown here")
	case strings.HasPrefix(line, "ssh-"):
		return agessh.ParseRecipient(line)
	case strings.HasPrefix(line, "age1pq1"):
		return age.ParseHybridRecipient(line)
	case strings.HasPrefix(line, "age1"):
		r, err := age.ParseX25519Recipient(line)
		if err != nil {
			return nil, fmt.Errorf("%.80q is no recipient that is known here", line)
		}
		return r, nil
	}
	return nil, fmt.Errorf("%.80q is no recipient", line)
}

// ParseIdentities reads age identities, one a line, or one SSH private key. Errors do not quote what they are about.
func ParseIdentities(where string, data []byte) ([]age.Identity, error) {
	text := strings.TrimSpace(string(data))
	if strings.HasPrefix(text, "-----BEGIN") && strings.Contains(text, "PRIVATE KEY") {
		id, err := agessh.ParseIdentity(data)
		if err != nil {
			return nil, fault.WithHint(fmt.Errorf("reading the identity in %s: it is no SSH key that can be used", where), "it must be of type ed25519 or rsa, and without a passphrase")
		}
		return []age.Identity{id}, nil
	}
	ids, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil || len(ids) == 0 {
		return nil, fault.WithHint(fmt.Errorf("reading the identities in %s: it holds none that can be read", where), "age-keygen makes one")
	}
	return ids, nil
}

// RecipientsOf returns the recipients of those identities that know theirs.
func RecipientsOf(ids []age.Identity) []string {
	var all []string
	for _, id := range ids {
		switch id := id.(type) {
		case *age.X25519Identity:
			all = append(all, id.Recipient().String())
		case *age.HybridIdentity:
			all = append(all, id.Recipient().String())
		}
	}
	return all
}
