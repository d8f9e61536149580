package resources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// engine is a container engine that speaks the Docker Engine API, version 1.40 or later: Docker, or Podman's service.
// https://docs.docker.com/reference/api/engine/
type engine struct {
	h       *host.Host
	socket  string
	version *string // of the API; a newer engine may ask for another than the oldest
}

const oldestEngineAPI = "1.40"

// engineTooOld is how an engine refuses a version: Docker 29 knows none before 1.44.
var engineTooOld = regexp.MustCompile(`is too old.* (1\.[0-9]{1,3})\b`)

// engineSockets are where engines listen, by name.
func engineSockets() map[string][]string {
	return map[string][]string{
		"docker": {"/run/docker.sock"},
		"podman": {"/run/podman/podman.sock"},
		"":       {"/run/docker.sock", "/run/podman/podman.sock"},
	}
}

// checkEngine says what is wrong with the key engine.
func checkEngine(name string) error {
	if _, known := engineSockets()[name]; known || path.IsAbs(name) && path.Clean(name) == name {
		return nil
	}
	return fault.WithHint(fmt.Errorf("engine: %q is not an engine", name), "docker, podman, or the path of a socket")
}

// engineRequires are what an engine comes from.
func engineRequires() []resource.ID {
	var ids []resource.ID
	for _, name := range []string{"docker.io", "docker-ce", "moby-engine", "podman"} {
		ids = append(ids, resource.ID{Type: "package", Name: name})
	}
	for _, name := range []string{"docker", "docker.service", "docker.socket", "podman.socket"} {
		ids = append(ids, resource.ID{Type: "service", Name: name})
	}
	return ids
}

// engineOf finds the engine of a declaration. An error that is host.ErrNotFound says that there is none.
func engineOf(h *host.Host, name string) (engine, error) {
	sockets, known := engineSockets()[name]
	if !known {
		sockets = []string{name}
	}
	for _, socket := range sockets {
		is, err := look(h, socket)
		if err != nil {
			return engine{}, fmt.Errorf("looking for the container engine: %w", err)
		}
		if is != nil {
			version := oldestEngineAPI
			return engine{h, socket, &version}, nil
		}
	}
	err := fmt.Errorf("looking for a container engine at %s: %w", strings.Join(sockets, " and "), host.ErrNotFound)
	return engine{}, fault.WithHint(err, "install and start one: the service docker, or podman.socket")
}

// get reads something of the engine; ErrNotFound if it has no such thing.
func (e engine) get(ctx context.Context, at string, query url.Values, into any) error {
	return e.call(ctx, host.Call{Method: http.MethodGet, URL: engineURL(at, query)}, into)
}

// post has the engine do something. 304 says that it is so already.
func (e engine) post(ctx context.Context, at string, query url.Values, body, into any) error {
	c := host.Call{Method: http.MethodPost, URL: engineURL(at, query)}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		c.Body, c.Header = text, map[string]string{"Content-Type": "application/json"}
	}
	return e.call(ctx, c, into)
}

// remove has the engine remove something; what is not there is no error.
func (e engine) remove(ctx context.Context, at string, query url.Values) error {
	err := e.call(ctx, host.Call{Method: http.MethodDelete, URL: engineURL(at, query)}, nil)
	if errors.Is(err, host.ErrNotFound) {
		return nil
	}
	return err
}

// engineURL is the part of the URL behind the version.
func engineURL(at string, query url.Values) string {
	if len(query) == 0 {
		return at
	}
	return at + "?" + query.Encode()
}

// send makes a call in a version of the API that the engine knows.
func (e engine) send(ctx context.Context, c host.Call) (host.Answer, error) {
	at := c.URL
	c.Socket, c.URL = e.socket, "http://engine/v"+*e.version+at
	answer, err := e.h.API.Call(ctx, c)
	if err != nil || answer.Status != http.StatusBadRequest {
		return answer, err
	}
	m := engineTooOld.FindStringSubmatch(engineSays(answer))
	if m == nil || m[1] == *e.version {
		return answer, nil
	}
	*e.version = m[1]
	c.URL = "http://engine/v" + m[1] + at
	return e.h.API.Call(ctx, c)
}

func (e engine) call(ctx context.Context, c host.Call, into any) error {
	answer, err := e.send(ctx, c)
	if err != nil {
		return err
	}
	switch {
	case answer.Status == http.StatusNotFound:
		return engineLacks(engineSays(answer))
	case answer.Status == http.StatusConflict:
		return engineBusy(engineSays(answer))
	case answer.Status == http.StatusNotModified:
		return nil
	case answer.Status >= 300:
		return errors.New(engineSays(answer))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Body, into); err != nil {
		return fmt.Errorf("reading the answer of the container engine: %w", err)
	}
	return nil
}

// engineLacks is host.ErrNotFound in the words of the engine.
type engineLacks string

func (e engineLacks) Error() string { return string(e) }
func (engineLacks) Unwrap() error   { return host.ErrNotFound }

// engineBusy is a conflict in the words of the engine: a name that is taken, or a container that is being removed.
type engineBusy string

func (e engineBusy) Error() string { return string(e) }

// engineSays is the message of an engine that refused.
func engineSays(a host.Answer) string {
	var said struct{ Message string }
	if json.Unmarshal(a.Body, &said) != nil || said.Message == "" {
		return fmt.Sprintf("the container engine answers with status %d", a.Status)
	}
	return "the container engine says: " + strings.TrimSpace(said.Message)
}
