package controller

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The secret, the body and the signature are those of GitHub's documentation, "Validating webhook deliveries".
const (
	hookSecret = "It's a Secret to Everybody"
	hookBody   = "Hello, World!"
	hookSum    = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
)

func TestWebhooksOfForges(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		header, value string
		want          int
	}{
		"GitHub":                   {"X-Hub-Signature-256", "sha256=" + hookSum, http.StatusAccepted},
		"Gitea":                    {"X-Gitea-Signature", hookSum, http.StatusAccepted},
		"Forgejo":                  {"X-Forgejo-Signature", hookSum, http.StatusAccepted},
		"Bitbucket":                {"X-Hub-Signature", "sha256=" + hookSum, http.StatusAccepted},
		"GitLab":                   {"X-Gitlab-Token", hookSecret, http.StatusAccepted},
		"curl":                     {"Authorization", "Bearer " + hookSecret, http.StatusAccepted},
		"another body's signature": {"X-Hub-Signature-256", "sha256=" + strings.Repeat("0", 64), http.StatusUnauthorized},
		"a signature that is none": {"X-Hub-Signature-256", "sha256=xyz", http.StatusUnauthorized},
		"an empty signature":       {"X-Hub-Signature-256", "sha256=", http.StatusUnauthorized},
		"the old SHA-1 alone":      {"X-Hub-Signature", "sha1=" + strings.Repeat("0", 40), http.StatusUnauthorized},
		"another token":            {"X-Gitlab-Token", "hush", http.StatusUnauthorized},
		"the token without Bearer": {"Authorization", hookSecret, http.StatusUnauthorized},
		"the token where a MAC is": {"X-Hub-Signature-256", hookSecret, http.StatusUnauthorized},
		"nothing":                  {"X-Other", "x", http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &Controller{cfg: Config{HookToken: hookSecret}, nudge: make(chan struct{}, 1)}
			code := postHook(c, hookBody, tt.header, tt.value)
			if code != tt.want || (len(c.nudge) == 1) != (tt.want == http.StatusAccepted) {
				t.Errorf("status %d, %d nudges, want %d", code, len(c.nudge), tt.want)
			}
		})
	}
}

func TestHooksAreBounded(t *testing.T) {
	t.Parallel()
	c := &Controller{cfg: Config{HookToken: hookSecret}, nudge: make(chan struct{}, 1)}
	if code := postHook(c, strings.Repeat("x", maxHook+1), "X-Gitlab-Token", hookSecret); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge body: status %d", code)
	}
	for range 3 {
		postHook(c, "", "X-Gitlab-Token", hookSecret)
	}
	if len(c.nudge) != 1 {
		t.Errorf("%d nudges wait, want one", len(c.nudge))
	}
	if code := postHook(&Controller{}, "", "X-Gitlab-Token", ""); code != http.StatusNotFound {
		t.Errorf("without a hook token: status %d", code)
	}
}

func postHook(c *Controller, body, header, value string) int {
	req := httptest.NewRequest(http.MethodPost, "/hooks/nudge", strings.NewReader(body))
	req.Header.Set(header, value)
	w := httptest.NewRecorder()
	c.hook(w, req)
	return w.Code
}
