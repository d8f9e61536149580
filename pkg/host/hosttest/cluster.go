package hosttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
)

// cluster is a Kubernetes API that knows objects, and applying on the side of the server:
// https://kubernetes.io/docs/reference/using-api/server-side-apply/. Lists are owned whole.
type cluster struct {
	server, token string
	objects       map[string]map[string]any // by path
}

// kindsOf are the resources of a version of the API, as discovery lists them.
func kindsOf(version string) []map[string]any {
	kind := func(name, kind string, namespaced bool) map[string]any {
		return map[string]any{"name": name, "kind": kind, "namespaced": namespaced}
	}
	return map[string][]map[string]any{
		"/api/v1": {kind("namespaces", "Namespace", false), kind("namespaces/status", "Namespace", false),
			kind("configmaps", "ConfigMap", true), kind("secrets", "Secret", true), kind("pods", "Pod", true)},
		"/apis/scheduling.k8s.io/v1":    {kind("priorityclasses", "PriorityClass", false)},
		"/apis/apps/v1":                 {kind("deployments", "Deployment", true), kind("deployments/scale", "Scale", true)},
		"/apis/apiextensions.k8s.io/v1": {kind("customresourcedefinitions", "CustomResourceDefinition", false)},
		"/apis/shop.example.com/v1":     {kind("carts", "Cart", true)},
	}[version]
}

// serve answers one call; the machine is locked.
func (c *cluster) serve(call host.Call, at *url.URL) host.Answer {
	if c.token != "" && call.Header["Authorization"] != "Bearer "+c.token || c.token == "" && len(call.TLS.Cert) == 0 {
		return refusal(http.StatusUnauthorized, "Unauthorized")
	}
	if kinds := kindsOf(at.Path); kinds != nil {
		if group := strings.TrimPrefix(at.Path, "/apis/"); strings.HasPrefix(group, "shop.example.com/") {
			if _, defined := c.objects["/apis/apiextensions.k8s.io/v1/customresourcedefinitions/carts.shop.example.com"]; !defined {
				return refusal(http.StatusNotFound, "the server could not find the requested resource")
			}
		}
		return answer(http.StatusOK, map[string]any{"resources": kinds})
	}
	if parts := strings.Split(at.Path, "/namespaces/"); len(parts) == 2 && strings.Contains(parts[1], "/") {
		ns, _, _ := strings.Cut(parts[1], "/")
		if _, there := c.objects["/api/v1/namespaces/"+ns]; !there && call.Method != http.MethodGet {
			return refusal(http.StatusNotFound, "namespaces %q not found", ns)
		}
	}
	is, there := c.objects[at.Path]
	switch {
	case call.Method == http.MethodPatch:
		return c.apply(call, at)
	case !there:
		return refusal(http.StatusNotFound, "%q not found", path.Base(at.Path))
	case call.Method == http.MethodDelete:
		delete(c.objects, at.Path)
		return answer(http.StatusOK, map[string]any{"status": "Success"})
	}
	return answer(http.StatusOK, is)
}

// apply merges what is applied into the object, and says whose fields are in the way.
func (c *cluster) apply(call host.Call, at *url.URL) host.Answer {
	query, want, is := at.Query(), map[string]any{}, map[string]any{}
	if call.Header["Content-Type"] != "application/apply-patch+yaml" || json.Unmarshal(call.Body, &want) != nil {
		return refusal(http.StatusUnsupportedMediaType, "the body of the request was in an unknown format")
	}
	if class, _ := valueAt(want, ".spec.priorityClassName").(string); class != "" && c.objects["/apis/scheduling.k8s.io/v1/priorityclasses/"+class] == nil {
		return refusal(http.StatusForbidden, "pods %q is forbidden: no PriorityClass with name %s was found", path.Base(at.Path), class)
	}
	if want["spec"] == "invalid" {
		return refusal(http.StatusUnprocessableEntity, "spec: Invalid value")
	}
	if old, there := c.objects[at.Path]; there {
		copyJSON(old, &is)
	}
	manager, managers := query.Get("fieldManager"), managersOf(is)
	fields := fieldsOf(want, "")
	var conflicts []string
	for other, owned := range managers {
		for _, f := range fields {
			if other == manager || !slices.Contains(owned, f) || string(jsonOf(valueAt(is, f))) == string(jsonOf(valueAt(want, f))) {
				continue
			}
			conflicts = append(conflicts, fmt.Sprintf("conflict with %q: %s", other, f))
			owned = slices.DeleteFunc(owned, func(o string) bool { return o == f })
		}
		managers[other] = owned
	}
	if len(conflicts) > 0 && query.Get("force") != "true" {
		slices.Sort(conflicts)
		return refusal(http.StatusConflict, "Apply failed with %d conflicts: %s", len(conflicts), strings.Join(conflicts, ", "))
	}
	for _, f := range managers[manager] {
		others := func(o string) bool { return o != manager && slices.Contains(managers[o], f) }
		if !slices.Contains(fields, f) && !slices.ContainsFunc(sortedKeys(managers), others) {
			dropAt(is, f)
		}
	}
	for _, f := range fields {
		setAt(is, f, valueAt(want, f))
	}
	managers[manager] = fields
	is["apiVersion"], is["kind"] = want["apiVersion"], want["kind"]
	name, _ := want["metadata"].(map[string]any)
	setAt(is, ".metadata.name", name["name"])
	if name["namespace"] != nil {
		setAt(is, ".metadata.namespace", name["namespace"])
	}
	setAt(is, ".metadata.managedFields", managedFields(managers))
	if query.Get("dryRun") != "All" {
		if c.objects == nil {
			c.objects = map[string]map[string]any{}
		}
		c.objects[at.Path] = is
	}
	return answer(http.StatusOK, is)
}

func (c *cluster) print(b *strings.Builder) {
	for _, at := range sortedKeys(c.objects) {
		fmt.Fprintf(b, "object %s\n", bare(at))
		printKeys(b, c.objects[at])
	}
}

func (p *parser) cluster(l *line) error {
	p.m.cluster.token = l.attr("token", "")
	if err := l.want(1, 1, "cluster URL token=TOKEN"); err != nil {
		return err
	}
	p.m.cluster.server = l.args[0]
	return nil
}

func (p *parser) object(l *line) error {
	if err := l.want(1, 1, "object PATH"); err != nil {
		return err
	}
	object, err := l.keys()
	if p.m.cluster.objects == nil {
		p.m.cluster.objects = map[string]map[string]any{}
	}
	p.m.cluster.objects[l.args[0]] = object
	return err
}
