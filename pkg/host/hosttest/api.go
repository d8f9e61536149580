package hosttest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"vigo.dev/pkg/host"
)

// api implements host.API: whatever listens on a socket is a container engine, and what has a URL is a Kubernetes cluster.
type api struct{ m *Machine }

var _ host.API = api{}

// Call implements host.API.
func (a api) Call(ctx context.Context, c host.Call) (host.Answer, error) {
	if err := ctx.Err(); err != nil {
		return host.Answer{}, err
	}
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	at, err := url.Parse(c.URL)
	if err != nil {
		return host.Answer{}, err
	}
	if c.Method == "" {
		c.Method = http.MethodGet
	}
	if c.Method != http.MethodGet && !c.DryRun {
		a.m.wrote("%s %s", c.Method, at.Path)
	}
	if c.Socket == "" {
		if !strings.HasPrefix(c.URL, a.m.cluster.server+"/") || a.m.cluster.server == "" {
			return host.Answer{}, fmt.Errorf("calling %s: %w", c.URL, ErrUnexpected)
		}
		return a.m.cluster.serve(c, at), nil
	}
	if n := a.m.nodes[c.Socket]; n == nil || n.kind != host.Other {
		return host.Answer{}, fmt.Errorf("calling %s: %w", c.Socket, notFound("socket", c.Socket))
	}
	if err := a.m.failure("engine", c.Method+" "+at.Path); err != nil {
		return refusal(http.StatusInternalServerError, "%v", err), nil
	}
	if least := a.m.engine.least; least != "" && !strings.HasPrefix(at.Path, "/v"+least+"/") {
		return refusal(http.StatusBadRequest, "client version is too old. Minimum supported API version is %s, please upgrade your client to a newer version", least), nil
	}
	return a.m.engine.serve(c, at), nil
}

// refusal is how an engine says no.
func refusal(status int, format string, args ...any) host.Answer {
	return answer(status, map[string]string{"message": fmt.Sprintf(format, args...)})
}

func answer(status int, body any) host.Answer {
	text, err := json.Marshal(body)
	if err != nil {
		panic("hosttest: an answer cannot be rendered: " + err.Error())
	}
	return host.Answer{Status: status, Body: text}
}
