package resources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// kubernetes is the API of a cluster: https://kubernetes.io/docs/reference/using-api/.
type kubernetes struct {
	h      *host.Host
	server string
	header map[string]string
	tls    host.TLS
	kinds  map[string]map[string]kubeKind // by version, then kind
}

// kubeKind is where objects of a kind are.
type kubeKind struct {
	Name       string // plural, as in paths
	Kind       string
	Namespaced bool
}

func (c *kubernetes) call(ctx context.Context, call host.Call, into any) error {
	call.URL, call.TLS = c.server+call.URL, c.tls
	header := map[string]string{"Accept": "application/json"}
	for _, more := range []map[string]string{c.header, call.Header} {
		for key, value := range more {
			header[key] = value
		}
	}
	call.Header = header
	answer, err := c.h.API.Call(ctx, call)
	if err != nil {
		return err
	}
	var said struct{ Message string }
	if answer.Status >= 300 {
		if json.Unmarshal(answer.Body, &said) != nil || said.Message == "" {
			said.Message = fmt.Sprintf("status %d", answer.Status)
		}
		said.Message = "the cluster says: " + said.Message
	}
	switch {
	case answer.Status == http.StatusNotFound:
		return engineLacks(said.Message)
	case answer.Status == http.StatusForbidden:
		return kubeForbids(said.Message)
	case answer.Status == http.StatusConflict && call.Method == http.MethodPatch:
		return fault.WithHint(errors.New(said.Message), "force: true takes the fields from their manager")
	case answer.Status >= 300:
		return errors.New(said.Message)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Body, into); err != nil {
		return fmt.Errorf("reading the answer of the cluster: %w", err)
	}
	return nil
}

// kubeForbids is a refusal in the words of the cluster: who asks may not do it, or the object may not be as it is.
type kubeForbids string

func (e kubeForbids) Error() string { return string(e) }

// lacksOther tells whether the cluster refuses an object for what is not there yet, such as the class of its priority. Who may not do
// it at all is told in other words: User "clerk" cannot patch resource "pods".
func lacksOther(err error) bool {
	var f kubeForbids
	return errors.Is(err, host.ErrNotFound) || errors.As(err, &f) && !strings.Contains(string(f), " cannot ")
}

// path is where an object is; ErrNotFound if the cluster has no such kind.
func (c *kubernetes) path(ctx context.Context, o kubeObject, namespace string) (string, error) {
	base := "/apis/" + o.version()
	if !strings.Contains(o.version(), "/") {
		base = "/api/" + o.version()
	}
	kinds, known := c.kinds[o.version()]
	if !known {
		var list struct{ Resources []kubeKind }
		if err := c.call(ctx, host.Call{URL: base}, &list); err != nil {
			return "", fmt.Errorf("asking for the kinds of %s: %w", o.version(), err)
		}
		kinds = map[string]kubeKind{}
		for _, k := range list.Resources {
			if !strings.Contains(k.Name, "/") { // a part of others, such as pods/log
				kinds[k.Kind] = k
			}
		}
		c.kinds[o.version()] = kinds
	}
	kind, ok := kinds[o.kind()]
	if !ok {
		return "", fmt.Errorf("the cluster has no kind %s in %s: %w", o.kind(), o.version(), host.ErrNotFound)
	}
	if kind.Namespaced {
		base += "/namespaces/" + orWord(o.meta("namespace"), orWord(namespace, "default"))
	} else if o.meta("namespace") != "" {
		return "", fmt.Errorf("a %s is in no namespace", o.kind())
	}
	return base + "/" + kind.Name + "/" + url.PathEscape(o.meta("name")), nil
}

const (
	definitionTime = 30 * time.Second // until a new kind is known to a cluster
	definitionLook = 500 * time.Millisecond
)

// pathSoon is path for a kind that was defined a moment ago.
func (c *kubernetes) pathSoon(ctx context.Context, o kubeObject, namespace string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, definitionTime)
	defer cancel()
	tick := time.NewTicker(definitionLook)
	defer tick.Stop()
	for {
		delete(c.kinds, o.version())
		at, err := c.path(ctx, o, namespace)
		if err == nil || !errors.Is(err, host.ErrNotFound) {
			return at, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-tick.C:
		}
	}
}

// get reads an object; nil if it is not there.
func (c *kubernetes) get(ctx context.Context, at string) (kubeObject, error) {
	var o kubeObject
	err := c.call(ctx, host.Call{URL: at}, &o)
	if errors.Is(err, host.ErrNotFound) {
		return nil, nil
	}
	return o, err
}

// apply has the server take over the declared fields, or say what would come of it.
func (c *kubernetes) apply(ctx context.Context, at string, o kubeObject, namespace string, force, dry bool) (kubeObject, error) {
	query := url.Values{"fieldManager": {kubernetesManager}}
	if force {
		query.Set("force", "true")
	}
	if dry {
		query.Set("dryRun", "All")
	}
	body, err := json.Marshal(o) // JSON is YAML
	if err != nil {
		return nil, err
	}
	var would kubeObject
	err = c.call(ctx, host.Call{Method: http.MethodPatch, DryRun: dry, URL: at + "?" + query.Encode(), Body: body,
		Header: map[string]string{"Content-Type": "application/apply-patch+yaml"}}, &would)
	return would, err
}

// remove removes an object; what it owns is removed by the cluster behind it.
func (c *kubernetes) remove(ctx context.Context, at string) error {
	err := c.call(ctx, host.Call{Method: http.MethodDelete, URL: at, Body: []byte(`{"propagationPolicy":"Background"}`),
		Header: map[string]string{"Content-Type": "application/json"}}, nil)
	if errors.Is(err, host.ErrNotFound) {
		return nil
	}
	return err
}
