package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
)

// defaultVaultTimeout bounds one question.
const defaultVaultTimeout = 10 * time.Second

// vaultAnswer is what GET /v1/MOUNT/data/PATH of a KV version 2 engine answers, as far as it is used.
type vaultAnswer struct {
	Data struct {
		Data     map[string]json.RawMessage `json:"data"`
		Metadata struct {
			Deleted   string `json:"deletion_time"`
			Destroyed bool   `json:"destroyed"`
		} `json:"metadata"`
	} `json:"data"`
	Errors []string `json:"errors"`
}

// vault asks a Vault or OpenBao server for the newest version of a secret of a KV version 2 engine. The key is PATH#FIELD;
// without a field the secret must have one only, or one that is called value.
func (o *Opener) vault(ctx context.Context, p policy.SecretProvider, key string) ([]byte, error) {
	token, err := o.vaultToken(p.Address)
	if err != nil {
		return nil, err
	}
	where, field, _ := strings.Cut(key, "#")
	mount := p.Mount
	if mount == "" {
		mount = "secret"
	}
	timeout := p.Timeout
	if timeout == 0 {
		timeout = defaultVaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s", timeout))
	defer cancel()
	secret := path.Join(p.Path, where)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Address+"/v1/"+escape(mount)+"/data/"+escape(secret), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Vault-Token", token)
	req.Header.Set("X-Vault-Request", "true")
	if p.Namespace != "" {
		req.Header.Set("X-Vault-Namespace", p.Namespace)
	}
	answer, status, err := o.send(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("%s %w: %w", p.Address, ErrUnreachable, withoutURL(err))
	}
	if err := vaultStatus(p.Address, mount+"/"+secret, status, answer); err != nil {
		return nil, err
	}
	return pick(mount+"/"+secret, field, answer.Data.Data)
}

func (o *Opener) vaultToken(address string) (string, error) {
	ask, ok := o.Vaults[address]
	if !ok {
		return "", fault.WithHint(fmt.Errorf("the controller may not ask %s", address), "its operator allows a server with --vault URL")
	}
	token, err := ask()
	if err != nil {
		return "", fmt.Errorf("%w: reading the token for %s: %w", ErrUnreachable, address, err)
	}
	return strings.TrimSpace(token), nil
}

// send follows no redirect: the token is for one server.
func (o *Opener) send(req *http.Request) (vaultAnswer, int, error) {
	client := http.Client{}
	if o.Client != nil {
		client = *o.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		return vaultAnswer{}, 0, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 2*MaxValue))
	if err != nil {
		return vaultAnswer{}, 0, err
	}
	var answer vaultAnswer
	if err := json.Unmarshal(data, &answer); err != nil && res.StatusCode == http.StatusOK {
		return vaultAnswer{}, 0, errors.New("the answer is not that of a Vault server") // not what it says: that may be a secret
	}
	return answer, res.StatusCode, nil
}

// maxDetail is how much, in bytes, of what a server says against a question is shown.
const maxDetail = 500

// vaultDetail is what a server says against a question, in one line: a list of errors has lines and tabs of its own.
func vaultDetail(said []string) string {
	detail := strings.Join(strings.Fields(strings.Join(said, "; ")), " ")
	if detail == "" {
		return ""
	}
	return fmt.Sprintf(": %.*s", maxDetail, detail)
}

// vaultStatus is what an answer says when it is not the secret. A time of deletion alone says nothing: with delete_version_after the
// engine tells it in advance, and until then it answers with the secret and status 200.
func vaultStatus(address, where string, status int, a vaultAnswer) error {
	detail := vaultDetail(a.Errors)
	switch {
	case status == http.StatusOK && a.Data.Data == nil:
		return fault.WithHint(fmt.Errorf("%s at %s is not of a KV engine of version 2", where, address), "vault secrets list -detailed tells: the options of the mount are map[version:2]")
	case status == http.StatusOK:
		return nil
	case a.Data.Metadata.Destroyed || a.Data.Metadata.Deleted != "":
		return fmt.Errorf("the newest version of %s at %s is deleted", where, address)
	case status == http.StatusNotFound:
		return fault.WithHint(fmt.Errorf("there is no %s at %s%s", where, address, detail), "the mount must be a KV engine of version 2")
	case status == http.StatusForbidden:
		return fault.WithHint(fmt.Errorf("%s %w: it refuses to show %s%s", address, ErrUnreachable, where, detail), "has the token expired? its policy needs read on MOUNT/data/…")
	}
	return fmt.Errorf("%s %w: it answers with status %d%s", address, ErrUnreachable, status, detail)
}

// pick takes one field of a secret.
func pick(where, field string, fields map[string]json.RawMessage) ([]byte, error) {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	if field == "" && len(names) == 1 {
		field = names[0]
	}
	if field == "" {
		field = "value"
	}
	raw, ok := fields[field]
	if !ok {
		return nil, fault.WithHint(fmt.Errorf("%s has no field %q", where, field), "it has "+strings.Join(names, ", ")+": write NAME#FIELD")
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []byte(text), nil
	}
	return raw, nil // a number, true or false, or JSON as it is
}

// withoutURL takes the address out of what net/http says, which is said already.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func escape(p string) string {
	parts := strings.Split(p, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}
