package resources

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Compose is a project of Docker Compose or podman-compose: a directory with a compose file, whose services run. What runs is read
// from the container engine through its socket; the program runs only to change something: when a file differs from the one that was
// brought up last, when a container of a service is missing or does not run, and when one was made of another configuration.
//
// podman-compose 1.0.3 gives all configurations one name, so with it another configuration of a container is not noticed.
//
// What was brought up is kept in .vigo-compose in the directory. The compose file itself is a file of its own, declared before.
// A notification restarts the services.
//
//	resources:
//	  - file: /srv/shop/compose.yaml
//	    source: compose.yaml
//	  - compose: /srv/shop
//	    env:
//	      DATABASE_PASSWORD: "{{ secret('shop-db') }}"
type Compose struct {
	// Directory of the project, absolute.
	Directory string `vigo:"identity"`

	// Ensure is up (the default), or down: the containers and networks of the project are not there. Its volumes stay.
	Ensure string `yaml:"ensure" vigo:"enum=up|down"`

	// Project is its name; the last part of the directory if it is not given.
	Project string `yaml:"project"`

	// Files are the compose files, absolute or below the directory. If they are not given, it is the first of compose.yaml,
	// compose.yml, docker-compose.yaml and docker-compose.yml that is there.
	Files []string `yaml:"files"`

	// Inputs are other files that count, such as those of env_file: when one changes, the project is brought up again. The
	// file .env of the directory always does.
	Inputs []string `yaml:"inputs"`

	// Services to bring up, with what they depend on; all if it is not given.
	Services []string `yaml:"services"`

	// OneShot are services that end by themselves: ended with status 0 is as good as running.
	OneShot []string `yaml:"one_shot"`

	// Profiles of the project that are on.
	Profiles []string `yaml:"profiles"`

	// Env are variables that the compose file may use. Values are never shown.
	Env map[string]string `yaml:"env" vigo:"secret"`

	// Pull says which images are pulled when the project is brought up: missing (the default), or always.
	Pull string `yaml:"pull" vigo:"enum=missing|always"`

	// Build has images built before the project is brought up.
	Build bool `yaml:"build"`

	// KeepOrphans leaves containers of services that the files no longer have; they are removed otherwise, when the project is
	// brought up.
	KeepOrphans bool `yaml:"keep_orphans"`

	// RemoveVolumes removes the volumes too, with ensure: down. Their content is lost.
	RemoveVolumes bool `yaml:"remove_volumes"`

	// Program is docker, for docker compose, docker-compose, or podman-compose. If it is not given it is podman-compose for Podman; and
	// for Docker docker, or docker-compose where docker lacks the plugin.
	Program string `yaml:"program" vigo:"enum=docker|docker-compose|podman-compose"`

	// Engine is docker, podman, or the path of a socket. The first of Docker and Podman that is there if it is not given.
	Engine string `yaml:"engine"`
}

var (
	_ resource.Validator = (*Compose)(nil)
	_ resource.Requirer  = (*Compose)(nil)
	_ resource.Refresher = (*Compose)(nil)
)

// Labels that compose gives to containers. podman-compose has one of its own for the configuration.
const (
	composeProject = "com.docker.compose.project"
	composeService = "com.docker.compose.service"
	composeHash    = "com.docker.compose.config-hash"
	podmanHash     = "io.podman.compose.config-hash"
)

// Validate implements [resource.Validator].
func (c *Compose) Validate() error {
	if err := checkPath(c.Directory); err != nil {
		return err
	}
	name := c.project()
	if !plainWord(name, "") || strings.ToLower(name) != name {
		return fault.WithHint(fmt.Errorf("project: %q is not the name of a project", name), `lower case letters, digits, "-" and "_"`)
	}
	for _, list := range [][]string{c.Services, c.OneShot, c.Profiles} {
		for _, word := range list {
			if !plainWord(word, ".") {
				return fmt.Errorf("%q is neither a service nor a profile", word)
			}
		}
	}
	for _, f := range slices.Concat(c.Files, c.Inputs) {
		if path.Clean(f) != f || f == "." || strings.HasPrefix(f, "-") {
			return fmt.Errorf("files: %q is not a clean path", f)
		}
	}
	for name := range c.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("env: %q is not the name of a variable", name)
		}
	}
	if c.RemoveVolumes && c.Ensure != "down" {
		return errors.New("remove_volumes needs ensure: down")
	}
	return checkEngine(c.Engine)
}

func (c *Compose) project() string {
	if c.Project != "" {
		return c.Project
	}
	return strings.ToLower(path.Base(c.Directory))
}

// Requires implements [resource.Requirer].
func (c *Compose) Requires() []resource.ID {
	ids := append(engineRequires(), resource.ID{Type: "directory", Name: c.Directory})
	for _, name := range []string{"docker-compose-plugin", "docker-compose", "podman-compose"} {
		ids = append(ids, resource.ID{Type: "package", Name: name})
	}
	files := c.Files
	if len(files) == 0 {
		files = composeFiles()
	}
	for _, f := range slices.Concat(files, c.Inputs, []string{".env"}) {
		ids = append(ids, resource.ID{Type: "file", Name: c.below(f)})
	}
	return ids
}

// composeFiles are the names that compose looks for, in its order.
func composeFiles() []string {
	return []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}
}

func (c *Compose) below(file string) string {
	if path.IsAbs(file) {
		return file
	}
	return path.Join(c.Directory, file)
}

// Plan implements [resource.Resource].
func (c *Compose) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	e, err := engineOf(h, c.Engine)
	if err != nil {
		return p, err
	}
	are, err := e.composed(ctx, c.project())
	if err != nil {
		return p, err
	}
	if c.Ensure == "down" {
		if len(are) > 0 {
			p.Do(func(ctx context.Context) error { return c.down(ctx, h, e) }, change.Of("ensure", "up", "down"))
		}
		return p, nil
	}
	files, err := c.files(h)
	if err != nil {
		return p, err
	}
	up, err := readComposed(h, c.Directory)
	if err != nil {
		return p, err
	}
	digest, err := c.digest(h, files)
	if err != nil {
		return p, err
	}
	if differs := c.differences(up, digest, are); len(differs) > 0 {
		p.Do(func(ctx context.Context) error { return c.up(ctx, h, e, files) }, differs...)
	}
	return p, nil
}

// differences are the reasons to bring the project up.
func (c *Compose) differences(up *composed, digest string, are []composeContainer) []change.Change {
	if len(are) == 0 {
		return []change.Change{change.Of("ensure", "down", "up")}
	}
	if up == nil {
		return []change.Change{change.Of("configuration", "not brought up by Vigo", short(digest))}
	}
	var differs []change.Change
	if up.Digest != digest {
		differs = append(differs, change.Of("configuration", short(up.Digest), short(digest)))
	}
	is := map[string]composeContainer{}
	for _, a := range are {
		// Of several containers of a service the worst counts.
		if have, there := is[a.service()]; !there || c.works(have) {
			is[a.service()] = a
		}
	}
	for _, service := range slices.Sorted(maps.Keys(up.Services)) {
		a, there := is[service]
		switch {
		case !there:
			differs = append(differs, change.Of("service "+service, change.Absent, "running"))
		case !c.works(a):
			differs = append(differs, change.Of("service "+service, orWord(a.State, "unknown"), "running"))
		case a.hash() != up.Services[service]:
			differs = append(differs, change.Of("service "+service, "of another configuration", "as declared"))
		}
	}
	return differs
}

// works tells whether a container is as it should be.
func (c *Compose) works(a composeContainer) bool {
	return a.State == "running" || slices.Contains(c.OneShot, a.service()) && a.State == "exited" && strings.HasPrefix(a.Status, "Exited (0)")
}

// Refresh implements [resource.Refresher].
func (c *Compose) Refresh(ctx context.Context, h *host.Host) error {
	if c.Ensure == "down" {
		return nil
	}
	e, err := engineOf(h, c.Engine)
	if err != nil {
		return err
	}
	files, err := c.files(h)
	if err != nil {
		return err
	}
	return c.run(ctx, h, e, files, append([]string{"restart"}, c.Services...)...)
}
