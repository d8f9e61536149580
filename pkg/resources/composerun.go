package resources

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// composed is what was brought up last. The digest is over secrets too: the file is for its owner alone.
type composed struct {
	Digest   string            `json:"digest"`   // of all that decides
	Services map[string]string `json:"services"` // what their containers were made of, in the words of compose
}

const composedName = ".vigo-compose"

// readComposed returns nil if the project was not brought up by Vigo.
func readComposed(h *host.Host, dir string) (*composed, error) {
	name := path.Join(dir, composedName)
	data, err := h.FS.Read(name, maxEdit)
	if errors.Is(err, host.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was brought up: %w", err)
	}
	var up composed
	if err := json.Unmarshal(data, &up); err != nil {
		return nil, fault.WithHint(fmt.Errorf("reading %s: %w", name, err), "remove the file, and the project is brought up anew")
	}
	return &up, nil
}

// composeContainer is a container in the list of an engine.
type composeContainer struct {
	State  string // running, exited, …
	Status string // for people: Exited (0) 2 hours ago
	Labels map[string]string
}

func (c composeContainer) service() string { return c.Labels[composeService] }

func (c composeContainer) hash() string { return orWord(c.Labels[composeHash], c.Labels[podmanHash]) }

// composed lists the containers of a project.
func (e engine) composed(ctx context.Context, project string) ([]composeContainer, error) {
	var all []composeContainer
	filters := jsonText(map[string][]string{"label": {composeProject + "=" + project}})
	if err := e.get(ctx, "/containers/json", url.Values{"all": {"true"}, "filters": {filters}}, &all); err != nil {
		return nil, fmt.Errorf("listing the containers of the project %s: %w", project, err)
	}
	// Those that docker compose run makes are nobody's service.
	return slices.DeleteFunc(all, func(c composeContainer) bool { return strings.EqualFold(c.Labels["com.docker.compose.oneoff"], "true") }), nil
}

// files are the compose files of the project.
func (c *Compose) files(h *host.Host) ([]string, error) {
	var files []string
	for _, f := range c.Files {
		files = append(files, c.below(f))
	}
	if len(files) > 0 {
		return files, nil
	}
	for _, f := range composeFiles() {
		is, err := look(h, c.below(f))
		if err != nil {
			return nil, err
		}
		if is != nil {
			return []string{c.below(f)}, nil
		}
	}
	return nil, fmt.Errorf("looking for a compose file in %s: %w", c.Directory, host.ErrNotFound)
}

// digest is of all that decides what is brought up.
func (c *Compose) digest(h *host.Host, files []string) (string, error) {
	sum := sha256.New()
	put := func(parts ...string) {
		for _, p := range parts {
			fmt.Fprintf(sum, "%d:%s\n", len(p), p)
		}
	}
	inputs := slices.Clone(files)
	for _, f := range c.Inputs {
		inputs = append(inputs, c.below(f))
	}
	for _, f := range inputs {
		digest, err := h.FS.Digest(f)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", f, err)
		}
		put("file", f, digest)
	}
	digest, err := h.FS.Digest(c.below(".env"))
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return "", fmt.Errorf("reading %s: %w", c.below(".env"), err)
	}
	put(".env", digest)
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		put("env", name, c.Env[name])
	}
	put(append([]string{"services"}, c.Services...)...)
	put(append([]string{"profiles"}, c.Profiles...)...)
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// up brings the project up, and keeps what came of it.
func (c *Compose) up(ctx context.Context, h *host.Host, e engine, files []string) error {
	digest, err := c.digest(h, files)
	if err != nil {
		return err
	}
	args := []string{"up", "-d"}
	if !c.KeepOrphans {
		args = append(args, "--remove-orphans")
	}
	if c.Build {
		args = append(args, "--build")
	}
	if c.Pull == "always" {
		if err := c.run(ctx, h, e, files, append([]string{"pull"}, c.Services...)...); err != nil {
			return err
		}
	}
	if err := c.run(ctx, h, e, files, append(args, c.Services...)...); err != nil {
		return err
	}
	are, err := e.composed(ctx, c.project())
	if err != nil {
		return err
	}
	up := composed{Digest: digest, Services: map[string]string{}}
	for _, a := range are {
		up.Services[a.service()] = a.hash()
	}
	if err := c.complete(h, files, up.Services); err != nil {
		return err
	}
	data, err := json.Marshal(up)
	if err != nil {
		return err
	}
	return h.FS.Write(ctx, path.Join(c.Directory, composedName), bytes.NewReader(append(data, '\n')), host.WriteOptions{Attr: defaultMode(host.Attr{}, 0o600)})
}

// complete tells whether every service has a container: podman-compose ends with status 0 when it could not make one.
func (c *Compose) complete(h *host.Host, files []string, have map[string]string) error {
	want := slices.Clone(c.Services)
	if len(want) == 0 {
		var err error
		if want, err = composeServices(h, files); err != nil {
			return err
		}
	}
	want = slices.DeleteFunc(want, func(s string) bool { _, there := have[s]; return there })
	if len(want) > 0 || len(have) == 0 {
		return fmt.Errorf("the project %s was brought up, and its services %s have no container", c.project(), strings.Join(want, ", "))
	}
	return nil
}

// composeServices are the services that files declare for every profile, and not for no container.
func composeServices(h *host.Host, files []string) ([]string, error) {
	services := map[string]bool{}
	for _, name := range files {
		text, err := h.FS.Read(name, maxEdit)
		if err != nil {
			return nil, fmt.Errorf("reading the compose file: %w", err)
		}
		var f struct {
			Services map[string]struct {
				Profiles []string
				Scale    *any
				Deploy   struct{ Replicas *any }
			}
		}
		if err := yaml.Unmarshal(text, &f); err != nil {
			return nil, fmt.Errorf("reading the services of %s: %w", name, err)
		}
		for service, s := range f.Services {
			if len(s.Profiles) == 0 && s.Scale == nil && s.Deploy.Replicas == nil {
				services[service] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(services)), nil
}

// down takes the project down.
func (c *Compose) down(ctx context.Context, h *host.Host, e engine) error {
	args := []string{"down"}
	if c.RemoveVolumes {
		args = append(args, "-v")
	}
	files, err := c.files(h)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return err // docker compose finds its containers without a file
	}
	if err := c.run(ctx, h, e, files, args...); err != nil {
		return err
	}
	return h.FS.Remove(ctx, path.Join(c.Directory, composedName), false)
}
