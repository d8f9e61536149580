package hosttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
)

// repository is a reference without its tag and digest.
func repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndex(ref, ":"); i > strings.LastIndex(ref, "/") {
		ref = ref[:i]
	}
	return ref
}

// pull answers as an engine does: what goes wrong behind the first line is a line of its own.
func (e *engine) pull(query url.Values) host.Answer {
	ref := query.Get("fromImage")
	if tag := query.Get("tag"); strings.Contains(tag, ":") {
		ref += "@" + tag
	} else if tag != "" {
		ref += ":" + tag
	}
	is, ok := e.registry[ref]
	if !ok {
		return host.Answer{Status: http.StatusOK, Body: fmt.Appendf(nil,
			"{\"status\":\"Pulling\"}\n{\"errorDetail\":{\"message\":\"manifest for %[1]s not found\"},\"error\":\"manifest for %[1]s not found\"}\n", ref)}
	}
	e.keep(ref, is)
	return host.Answer{Status: http.StatusOK, Body: []byte("{\"status\":\"Pulling\"}\n{\"status\":\"Download complete\"}\n")}
}

func (e *engine) keep(ref string, is image) {
	if e.images == nil {
		e.images = map[string]image{}
	}
	e.images[ref] = is
}

// image answers what concerns one.
func (e *engine) image(ref, verb string, query url.Values) host.Answer {
	is, ok := e.images[ref]
	if !ok {
		return refusal(http.StatusNotFound, "No such image: %s", ref)
	}
	switch verb {
	case "GET json":
		var tags, digests []string
		for _, other := range sortedKeys(e.images) {
			if e.images[other].id == is.id && !strings.Contains(other, "@") {
				tags = append(tags, other)
			}
		}
		if is.digest != "" {
			digests = []string{repository(ref) + "@" + is.digest}
		}
		return answer(http.StatusOK, map[string]any{"Id": is.id, "RepoTags": tags, "RepoDigests": digests})
	case "POST tag":
		e.keep(query.Get("repo")+":"+query.Get("tag"), is)
		return host.Answer{Status: http.StatusCreated}
	case "DELETE ":
		used := slices.ContainsFunc(e.containers, func(c *container) bool { return c.image == is.id })
		if used && query.Get("force") == "" {
			return refusal(http.StatusConflict, "unable to remove %s: it is used by a container", ref)
		}
		delete(e.images, ref)
		return answer(http.StatusOK, []any{map[string]string{"Untagged": ref}})
	}
	return refusal(http.StatusNotFound, "page not found")
}

// print writes what the engine has.
func (e *engine) print(b *strings.Builder) {
	for _, ref := range sortedKeys(e.images) {
		fmt.Fprintf(b, "image %s id=%s", bare(ref), bare(e.images[ref].id))
		attr(b, "digest", e.images[ref].digest, "")
		b.WriteByte('\n')
	}
	sorted := slices.Clone(e.containers)
	slices.SortFunc(sorted, func(a, b *container) int { return strings.Compare(a.name, b.name) })
	for _, c := range sorted {
		fmt.Fprintf(b, "container %s state=%s image=%s", bare(c.name), bare(c.state), bare(c.image))
		attr(b, "code", strconv.Itoa(c.code), "0")
		attr(b, "health", c.health, "")
		attr(b, "networks", strings.Join(c.networks, ","), "")
		b.WriteByte('\n')
		printKeys(b, c.body)
	}
}

func (p *parser) image(l *line) error {
	is := image{id: l.attr("id", "sha256:0"), digest: l.attr("digest", "")}
	if err := l.want(1, 1, "image REFERENCE id=ID digest=DIGEST"); err != nil {
		return err
	}
	if l.word == "image" {
		p.m.engine.keep(l.args[0], is)
		return nil
	}
	if p.m.engine.registry == nil {
		p.m.engine.registry = map[string]image{}
	}
	p.m.engine.registry[l.args[0]] = is
	return nil
}

func (p *parser) network(l *line) error {
	p.m.engine.networks = append(p.m.engine.networks, l.args...)
	return l.want(1, 1, "network NAME")
}

func (p *parser) engineVersion(l *line) error {
	if err := l.want(1, 1, "engine-version 1.44"); err != nil {
		return err
	}
	p.m.engine.least = l.args[0]
	return nil
}

func (p *parser) engineWithout(l *line) error {
	p.m.engine.without = append(p.m.engine.without, l.args...)
	return l.want(1, 4, "engine-without Memory PidsLimit")
}

func (p *parser) enginePodman(l *line) error {
	p.m.engine.podman = true
	return l.want(0, 0, "engine-podman")
}

func (p *parser) container(l *line) error {
	c := &container{state: l.attr("state", "running"), image: l.attr("image", "sha256:0"), health: l.attr("health", ""), networks: l.list("networks"), body: map[string]any{}}
	var err error
	if c.code, err = l.number("code", 0); err != nil {
		return err
	}
	if err := l.want(1, 1, "container NAME state=running code=0 image=ID health=STATUS networks=a,b"); err != nil {
		return err
	}
	c.name = l.args[0]
	if c.body, err = l.keys(); err != nil {
		return err
	}
	e := &p.m.engine
	e.made++
	c.id = fmt.Sprintf("%064x", e.made)
	e.containers = append(e.containers, c)
	return nil
}

// compose gives a project other containers, one for each service.
func (e *engine) compose(project, services string) {
	e.containers = slices.DeleteFunc(e.containers, func(c *container) bool { return c.labels()["com.docker.compose.project"] == project })
	for service := range strings.SplitSeq(services, ",") {
		if service == "" {
			continue
		}
		e.made++
		labels := map[string]any{"com.docker.compose.project": project, "com.docker.compose.service": service, "com.docker.compose.config-hash": "up"}
		e.containers = append(e.containers, &container{id: fmt.Sprintf("%064x", e.made), name: project + "-" + service + "-1", image: "sha256:0",
			state: "running", body: map[string]any{"Labels": labels}})
	}
}

// printKeys writes an object of JSON, a line for each key, and keys reads them.
func printKeys(b *strings.Builder, object map[string]any) {
	for _, key := range sortedKeys(object) {
		value, err := json.Marshal(object[key])
		if err != nil {
			panic("hosttest: an object cannot be printed: " + err.Error())
		}
		fmt.Fprintf(b, "\t%s %s\n", key, value)
	}
}

func (l *line) keys() (map[string]any, error) {
	object := map[string]any{}
	if l.body == nil {
		return object, nil
	}
	for text := range strings.Lines(*l.body) {
		key, value, _ := strings.Cut(text, " ")
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		object[key] = v
	}
	return object, nil
}
