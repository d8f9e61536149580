package hosttest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
)

// engine is a container engine that answers as the Docker Engine API says, as far as resource types ask:
// https://docs.docker.com/reference/api/engine/
type engine struct {
	images     map[string]image // by reference
	registry   map[string]image // what can be pulled
	networks   []string
	least      string   // version of the API; any if empty
	podman     bool     // it says that it is Podman
	without    []string // limits that the kernel does not count, by their keys in HostConfig
	containers []*container
	made       int
}

// An image is what a reference points to.
type image struct{ id, digest string }

// A container is what one was made of, and what became of it.
type container struct {
	id, name string
	image    string // its id
	state    string // created, running, restarting, exited, removing
	code     int    // that it ended with
	health   string
	networks []string
	body     map[string]any // as it was asked for
}

var engineRoute = regexp.MustCompile(`^/v1\.[0-9]+/(containers|images|networks)/(.+?)(?:/(json|start|stop|restart|wait|rename|tag|connect|create))?$`)

// serve answers one call; the machine is locked.
func (e *engine) serve(c host.Call, at *url.URL) host.Answer {
	if strings.HasSuffix(at.Path, "/version") {
		name := "Engine"
		if e.podman {
			name = "Podman Engine"
		}
		return answer(http.StatusOK, map[string]any{"Components": []any{map[string]string{"Name": name}}})
	}
	m := engineRoute.FindStringSubmatch(at.Path)
	if m == nil {
		return refusal(http.StatusNotFound, "page not found")
	}
	query := at.Query()
	switch what, name, verb := m[1], m[2], c.Method+" "+m[3]; {
	case what == "containers" && name == "json":
		return e.list(query)
	case what == "containers" && name == "create" && c.Method == http.MethodPost:
		return e.create(query.Get("name"), c.Body)
	case what == "containers":
		return e.container(name, verb, query)
	case what == "images" && name == "create" && c.Method == http.MethodPost:
		return e.pull(query)
	case what == "images":
		return e.image(name, verb, query)
	case c.Method == http.MethodGet && !slices.Contains(e.networks, name):
		return refusal(http.StatusNotFound, "network %s not found", name)
	case c.Method == http.MethodGet:
		return answer(http.StatusOK, map[string]string{"Name": name})
	default:
		return e.connect(name, c.Body)
	}
}

func (e *engine) find(name string) *container {
	for _, c := range e.containers {
		if c.name == name || c.id == name {
			return c
		}
	}
	return nil
}

// list answers with the containers that have all the labels asked for.
func (e *engine) list(query url.Values) host.Answer {
	var filters struct{ Label []string }
	if err := json.Unmarshal([]byte(query.Get("filters")), &filters); err != nil && query.Has("filters") {
		return refusal(http.StatusBadRequest, "invalid filter")
	}
	all := []any{}
	for _, c := range e.containers {
		labels := c.labels()
		if slices.ContainsFunc(filters.Label, func(l string) bool {
			key, value, exact := strings.Cut(l, "=")
			have, ok := labels[key]
			return !ok || exact && have != value
		}) {
			continue
		}
		all = append(all, map[string]any{"Id": c.id, "Names": []string{"/" + c.name}, "Image": c.body["Image"], "ImageID": c.image,
			"State": c.state, "Status": c.status(), "Labels": labels})
	}
	return answer(http.StatusOK, all)
}

// status is the state in the words of the engine.
func (c *container) status() string {
	switch c.state {
	case "running":
		return "Up 2 hours"
	case "exited":
		return fmt.Sprintf("Exited (%d) 2 hours ago", c.code)
	}
	return "Created"
}

func (c *container) labels() map[string]string {
	labels := map[string]string{}
	given, _ := c.body["Labels"].(map[string]any)
	for key, value := range given {
		labels[key] = fmt.Sprint(value)
	}
	return labels
}

func (e *engine) create(name string, body []byte) host.Answer {
	c := &container{name: name, state: "created", id: fmt.Sprintf("%064x", e.made+1)}
	if err := json.Unmarshal(body, &c.body); err != nil {
		return refusal(http.StatusBadRequest, "%v", err)
	}
	ref, _ := c.body["Image"].(string)
	is, ok := e.images[ref]
	switch {
	case !ok:
		return refusal(http.StatusNotFound, "No such image: %s", ref)
	case e.find(name) != nil:
		return refusal(http.StatusConflict, "Conflict. The container name %q is already in use", "/"+name)
	}
	e.made++
	c.image = is.id
	inside, _ := c.body["NetworkingConfig"].(map[string]any)
	ends, _ := inside["EndpointsConfig"].(map[string]any)
	c.networks = slices.Sorted(maps.Keys(ends))
	e.containers = append(e.containers, c)
	return answer(http.StatusCreated, map[string]any{"Id": c.id, "Warnings": e.discard(c)})
}

// discard takes out of a container what the kernel does not count, and warns as Docker 20.10 does.
func (e *engine) discard(c *container) []string {
	warnings := []string{}
	limits, _ := c.body["HostConfig"].(map[string]any)
	for _, key := range e.without {
		if _, given := limits[key]; given {
			delete(limits, key)
			warnings = append(warnings, "Your kernel does not support "+key+" limit capabilities or the cgroup is not mounted. Limitation discarded.")
		}
	}
	return warnings
}

// removes tells whether the engine removes a container when it ends.
func (c *container) removes() bool {
	given, _ := c.body["HostConfig"].(map[string]any)
	return given["AutoRemove"] == true
}

// container answers what concerns one.
func (e *engine) container(name, verb string, query url.Values) host.Answer {
	c := e.find(name)
	if c == nil {
		return refusal(http.StatusNotFound, "No such container: %s", name)
	}
	none := host.Answer{Status: http.StatusNoContent}
	switch verb {
	case "GET json":
		return answer(http.StatusOK, c.inspect())
	case "POST start", "POST restart":
		if broken := c.labels()["test.start"]; broken != "" {
			return refusal(http.StatusInternalServerError, "%s", broken)
		}
		if c.state != "restarting" { // Docker waits for its time
			c.state = "running"
		}
		if c.labels()["test.ends"] != "" {
			c.state, c.code = "restarting", 3
		}
	case "POST stop":
		if c.state != "running" && c.state != "restarting" {
			return host.Answer{Status: http.StatusNotModified}
		}
		if c.state = "exited"; c.removes() {
			c.state = "removing"
		}
	case "POST wait":
		e.containers = slices.DeleteFunc(e.containers, func(o *container) bool { return o == c && c.state == "removing" })
		return answer(http.StatusOK, map[string]int{"StatusCode": c.code})
	case "POST rename":
		if e.find(query.Get("name")) != nil {
			return refusal(http.StatusConflict, "the name %q is already in use", query.Get("name"))
		}
		c.name = query.Get("name")
	case "DELETE ":
		if c.state == "removing" {
			return refusal(http.StatusConflict, "removal of container %s is already in progress", name)
		}
		if c.state == "running" && query.Get("force") == "" {
			return refusal(http.StatusConflict, "cannot remove a running container")
		}
		e.containers = slices.DeleteFunc(e.containers, func(o *container) bool { return o == c })
	default:
		return refusal(http.StatusNotFound, "page not found")
	}
	return none
}

// inspect is what the engine says of a container.
func (c *container) inspect() map[string]any {
	config := maps.Clone(c.body)
	hostConfig := config["HostConfig"]
	delete(config, "HostConfig")
	delete(config, "NetworkingConfig")
	networks := map[string]any{}
	for _, n := range c.networks {
		networks[n] = map[string]any{}
	}
	again := c.state == "restarting"
	state := map[string]any{"Status": c.state, "Running": c.state == "running" || again, "Restarting": again, "ExitCode": c.code}
	if c.health != "" {
		state["Health"] = map[string]any{"Status": c.health}
	}
	restarts := 0
	if again {
		restarts = 4
	}
	return map[string]any{"Id": c.id, "Name": "/" + c.name, "Image": c.image, "State": state, "RestartCount": restarts,
		"Config": config, "HostConfig": hostConfig, "NetworkSettings": map[string]any{"Networks": networks}}
}

func (e *engine) connect(network string, body []byte) host.Answer {
	var asked struct{ Container string }
	if err := json.Unmarshal(body, &asked); err != nil {
		return refusal(http.StatusBadRequest, "%v", err)
	}
	c := e.find(asked.Container)
	switch {
	case !slices.Contains(e.networks, network):
		return refusal(http.StatusNotFound, "network %s not found", network)
	case c == nil:
		return refusal(http.StatusNotFound, "No such container: %s", asked.Container)
	}
	c.networks = append(c.networks, network)
	slices.Sort(c.networks)
	return host.Answer{Status: http.StatusOK}
}
