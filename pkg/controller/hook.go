package controller

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
)

// maxHook bounds the body of a webhook; GitHub sends at most 25 MiB.
const maxHook = 32 << 20

// hook takes a nudge. The hook token is the secret that is set at the forge. Whoever calls proves that they know it by
//
//   - an HMAC-SHA256 of the body: X-Hub-Signature-256 (GitHub, Gitea, Forgejo), X-Hub-Signature (Bitbucket),
//     X-Gitea-Signature, X-Forgejo-Signature or X-Gogs-Signature;
//   - the token itself: X-Gitlab-Token (GitLab), or Authorization: Bearer (curl and other programs).
//
// What the hook says is not read: it is only a nudge, and what it leads to is looked up at the repository.
func (c *Controller) hook(w http.ResponseWriter, r *http.Request) {
	if c.cfg.HookToken == "" {
		http.Error(w, "no hook token is configured", http.StatusNotFound)
		return
	}
	mac := hmac.New(sha256.New, []byte(c.cfg.HookToken))
	if _, err := io.Copy(mac, http.MaxBytesReader(w, r.Body, maxHook)); err != nil {
		status := http.StatusBadRequest
		if errors.As(err, new(*http.MaxBytesError)) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "the body could not be read", status)
		return
	}
	signature, signed := hookSignature(r.Header)
	switch {
	case signed && hmac.Equal(signature, mac.Sum(nil)):
	case !signed && sameToken(hookToken(r.Header), c.cfg.HookToken):
	default:
		http.Error(w, "the signature or the token is not that of the hook", http.StatusUnauthorized)
		return
	}
	c.fresh.Store(true)
	for _, one := range c.others.all() {
		one.fresh.Store(true)
	}
	c.NudgeAll()
	w.WriteHeader(http.StatusAccepted)
}

// hookSignature returns the HMAC a forge sent. One that cannot be read is there and equals none.
func hookSignature(h http.Header) (signature []byte, there bool) {
	for _, name := range []string{"X-Hub-Signature-256", "X-Forgejo-Signature", "X-Gitea-Signature", "X-Gogs-Signature", "X-Hub-Signature"} {
		value := h.Get(name)
		if value == "" || strings.HasPrefix(value, "sha1=") { // GitHub sends the old one beside the new one
			continue
		}
		signature, err := hex.DecodeString(strings.TrimPrefix(value, "sha256="))
		if err != nil {
			return nil, true
		}
		return signature, true
	}
	return nil, false
}

func hookToken(h http.Header) string {
	if token := h.Get("X-Gitlab-Token"); token != "" {
		return token
	}
	if bearer, ok := strings.CutPrefix(h.Get("Authorization"), "Bearer "); ok {
		return bearer
	}
	return ""
}

// sameToken compares digests, which leaks neither the token nor its length.
func sameToken(given, want string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
