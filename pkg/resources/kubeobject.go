package resources

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/change"
)

const maxObjects = 1000 // in one manifest

// kubeObject is an object of Kubernetes as JSON has it.
type kubeObject map[string]any

// parseManifest reads objects in YAML. Namespaces, definitions of kinds, and what a cluster wants to be there before others come first.
func parseManifest(text []byte) ([]kubeObject, error) {
	if len(text) > maxEdit {
		return nil, fmt.Errorf("the manifest is longer than %d bytes", maxEdit)
	}
	var objects []kubeObject
	d := yaml.NewDecoder(bytes.NewReader(text))
	for n := 1; ; n++ {
		var node yaml.Node
		err := d.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the manifest: %w", err)
		}
		datesAreText(&node)
		var raw any
		if err := node.Decode(&raw); err != nil {
			return nil, fmt.Errorf("reading the manifest: %w", err)
		}
		if raw == nil {
			continue
		}
		data, err := json.Marshal(raw) // numbers and keys as the server has them
		var o kubeObject
		if err == nil {
			err = json.Unmarshal(data, &o)
		}
		if err != nil {
			return nil, fmt.Errorf("reading object %d of the manifest: it is no mapping with plain keys", n)
		}
		if err := o.check(); err != nil {
			return nil, fmt.Errorf("reading object %d of the manifest: %w", n, err)
		}
		if objects = append(objects, o); len(objects) > maxObjects {
			return nil, fmt.Errorf("the manifest has more than %d objects", maxObjects)
		}
	}
	if len(objects) == 0 {
		return nil, errors.New("the manifest has no object")
	}
	slices.SortStableFunc(objects, func(a, b kubeObject) int { return a.rank() - b.rank() })
	return objects, nil
}

// datesAreText has a date stay as it is written: JSON has none.
func datesAreText(n *yaml.Node) {
	if n.Tag == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, inner := range n.Content {
		datesAreText(inner)
	}
}

func (o kubeObject) rank() int {
	switch o.kind() {
	case "Namespace":
		return 0
	case "CustomResourceDefinition":
		return 1
	case "ClusterRole", "PriorityClass", "Role", "RuntimeClass", "ServiceAccount", "StorageClass":
		return 2
	}
	return 3
}

func (o kubeObject) check() error {
	for key, value := range map[string]string{"apiVersion": o.version(), "kind": o.kind(), "metadata.name": o.meta("name")} {
		if value == "" || strings.ContainsAny(value, " ?#%\\\"") || strings.Contains(value, "..") || key != "apiVersion" && strings.Contains(value, "/") {
			return fmt.Errorf("%s: %q names nothing", key, value)
		}
	}
	if ns := o.meta("namespace"); ns != "" && !plainWord(ns, "") {
		return fmt.Errorf("metadata.namespace: %q is not the name of a namespace", ns)
	}
	return nil
}

func (o kubeObject) text(key string) string { s, _ := o[key].(string); return s }
func (o kubeObject) version() string        { return o.text("apiVersion") }
func (o kubeObject) kind() string           { return o.text("kind") }

func (o kubeObject) meta(key string) string {
	m, _ := o["metadata"].(map[string]any)
	s, _ := m[key].(string)
	return s
}

// String names the object for people.
func (o kubeObject) String() string {
	if ns := o.meta("namespace"); ns != "" {
		return o.kind() + " " + ns + "/" + o.meta("name")
	}
	return o.kind() + " " + o.meta("name")
}

// going tells whether the object is being removed.
func (o kubeObject) going() bool { return o.meta("deletionTimestamp") != "" }

// definedBy tells whether the kind of the object is defined by another of the manifest.
func (o kubeObject) definedBy(all []kubeObject) bool {
	group, _, _ := strings.Cut(o.version(), "/")
	return slices.ContainsFunc(all, func(d kubeObject) bool {
		spec, _ := d["spec"].(map[string]any)
		return d.kind() == "CustomResourceDefinition" && spec["group"] == group
	})
}

// insideOneOf tells whether the namespace of the object is in the manifest.
func (o kubeObject) insideOneOf(all []kubeObject, otherwise string) bool {
	ns := orWord(o.meta("namespace"), otherwise)
	return slices.ContainsFunc(all, func(n kubeObject) bool { return n.kind() == "Namespace" && n.meta("name") == ns })
}

// managed is what a manager owns, as the server keeps it.
func (o kubeObject) managed() any {
	m, _ := o["metadata"].(map[string]any)
	list, _ := m["managedFields"].([]any)
	for _, item := range list {
		one, _ := item.(map[string]any)
		if one["manager"] == kubernetesManager && one["operation"] == "Apply" {
			return one["fieldsV1"]
		}
	}
	return nil
}

// differences are what the server would change. Values of secrets are not shown.
func (o kubeObject) differences(live, would kubeObject) []change.Change {
	w := kubeWalk{name: o.String(), secret: o.kind() == "Secret"}
	w.walk("", map[string]any(live), map[string]any(would))
	if len(w.changes) == 0 && !reflect.DeepEqual(live.managed(), would.managed()) {
		from := "others"
		if live.managed() != nil {
			from = "other fields"
		}
		w.changes = []change.Change{change.Of(w.name+" managed", from, "the declared fields")}
	}
	return w.changes
}

// kubeWalk collects how two states of an object differ.
type kubeWalk struct {
	name    string
	secret  bool
	changes []change.Change
}

// bookkeeping is what the server keeps for itself.
func bookkeeping(at string) bool {
	return slices.Contains([]string{".status", ".metadata.managedFields", ".metadata.resourceVersion", ".metadata.generation",
		".metadata.uid", ".metadata.creationTimestamp"}, at)
}

func (w *kubeWalk) walk(at string, from, to any) {
	if bookkeeping(at) || reflect.DeepEqual(from, to) {
		return
	}
	a, mapA := from.(map[string]any)
	b, mapB := to.(map[string]any)
	if mapA && mapB {
		keys := maps.Clone(a)
		maps.Copy(keys, b)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			w.walk(at+"."+key, a[key], b[key])
		}
		return
	}
	listA, isA := from.([]any)
	listB, isB := to.([]any)
	if isA && isB && len(listA) == len(listB) {
		for i := range listA {
			w.walk(fmt.Sprintf("%s[%d]", at, i), listA[i], listB[i])
		}
		return
	}
	field := w.name + " " + strings.TrimPrefix(at, ".")
	if w.secret && (strings.HasPrefix(at, ".data") || strings.HasPrefix(at, ".stringData") || strings.HasPrefix(at, ".metadata.annotations")) {
		w.changes = append(w.changes, change.Secret(field))
		return
	}
	w.changes = append(w.changes, change.Of(field, kubeText(from), kubeText(to)))
}

// kubeText shows a value on one line.
func kubeText(v any) string {
	switch v := v.(type) {
	case nil:
		return "not set"
	case string:
		return v
	}
	return jsonText(v)
}
