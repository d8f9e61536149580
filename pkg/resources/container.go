package resources

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/resource"
)

// Container is a container of the engine of the host: Docker, or Podman when its socket podman.socket is listening. The engine is
// asked through its socket, and no program is started.
//
// What a container is made of cannot be changed. One that differs from its declaration is replaced: the new one is made
// beside it, the old one is stopped, and it comes back if the new one does not start. What was declared is kept with the container in
// the label dev.vigo.declaration, without the values of env and log_options. What the engine or the image add is left alone, and so
// are anonymous volumes: give a volume a name if its content matters.
//
// A notification restarts the container.
//
//	resources:
//	  - container: shop
//	    image: registry.example.com/shop/api:7@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	    ports: ["127.0.0.1:8080:80"]
//	    volumes: ["shop-data:/data", "/etc/shop:/etc/shop:ro"]
//	    env:
//	      LOG_LEVEL: info
//	      DATABASE_PASSWORD: "{{ secret('shop-db') }}"
//	    restart: unless-stopped
//	    memory: 512m
type Container struct {
	// Name of the container.
	Name string `vigo:"identity"`

	// Ensure is running (the default), stopped, or absent. The volumes of one that is absent stay.
	Ensure string `yaml:"ensure" vigo:"enum=running|stopped|absent"`

	// Image with its tag, its digest, or both. One that the engine does not have is pulled; declare a container_image of the same
	// name, which comes first, where that needs a password. The container is replaced when the name leads to another image than
	// it was made of.
	Image string `yaml:"image"`

	// Pull says whether an image that the engine does not have is pulled: missing (the default) or never.
	Pull string `yaml:"pull" vigo:"enum=missing|never"`

	// Recreate says whether a container that differs from its declaration is replaced, as it is by default. With false that is
	// an error, which says what differs.
	Recreate *bool `yaml:"recreate"`

	// Command is what the container runs, in place of what the image says. Everybody on the host sees it.
	Command resource.Argv `yaml:"command"`

	// Entrypoint stands before the command, in place of what the image says.
	Entrypoint resource.Argv `yaml:"entrypoint"`

	// Env are environment variables. Values are never shown, though whoever may ask the engine sees them.
	Env map[string]string `yaml:"env" vigo:"secret"`

	// Ports are published: PORT, HOST:PORT or ADDRESS:HOST:PORT, where both may be ranges such as 8000-8010, with /udp or /sctp
	// behind it. The host's side is any free port if it is not given.
	Ports []string `yaml:"ports"`

	// Volumes are NAME:PATH, or /PATH-OF-THE-HOST:PATH, with :ro and other options behind it.
	Volumes []string `yaml:"volumes"`

	// Tmpfs are paths in the container that are kept in memory, with the options behind a colon, such as /run:size=64m.
	Tmpfs []string `yaml:"tmpfs"`

	// Networks that the container is in: networks of the engine, which must be there, or alone host, none, or container:NAME. It
	// is connected to those it is missing in; others are left alone. The engine's own network if it is not given.
	Networks []string `yaml:"networks"`

	// Restart says when the engine starts the container again: no (the default), always, unless-stopped, on-failure, or
	// on-failure:N for at most N times.
	Restart string `yaml:"restart"`

	// Labels of the container.
	Labels map[string]string `yaml:"labels"`

	// Healthcheck says how the engine finds out whether the container works.
	Healthcheck *ContainerHealth `yaml:"healthcheck"`

	// Wait is how long to wait at a start until the health check says healthy, or without one until the container has run for a
	// second. The start fails if it ends, or is unhealthy, before. Not at all if it is not given.
	Wait resource.Duration `yaml:"wait"`

	// User that the command runs as, NAME, UID, or either with :GROUP.
	User string `yaml:"user"`

	// Workdir is the directory that the command runs in.
	Workdir string `yaml:"workdir"`

	// Hostname inside the container.
	Hostname string `yaml:"hostname"`

	// ExtraHosts are lines for /etc/hosts, NAME:ADDRESS.
	ExtraHosts []string `yaml:"extra_hosts"`

	// DNS are addresses of name servers.
	DNS []string `yaml:"dns"`

	// CapAdd are capabilities of the kernel beyond those of the engine, such as NET_ADMIN, or ALL.
	CapAdd []string `yaml:"cap_add"`

	// CapDrop are capabilities that are taken away, or ALL.
	CapDrop []string `yaml:"cap_drop"`

	// Privileged gives the container all that root of the host has.
	Privileged bool `yaml:"privileged"`

	// ReadOnly has nothing of the image written to.
	ReadOnly bool `yaml:"read_only"`

	// SecurityOptions go to the engine, such as no-new-privileges, apparmor=profile, or seccomp=/path/of/a/profile, which is read
	// when the container is made.
	SecurityOptions []string `yaml:"security_options"`

	// Devices of the host, /dev/PATH with the path inside and the permissions behind it: /dev/ttyUSB0:/dev/modem:rw.
	Devices []string `yaml:"devices"`

	// Sysctls are parameters of the kernel inside the container.
	Sysctls map[string]string `yaml:"sysctls"`

	// Ulimits are limits of processes, NAME=SOFT or NAME=SOFT:HARD.
	Ulimits []string `yaml:"ulimits"`

	// Memory is the most that the container may use, in bytes, or with k, m or g behind it.
	Memory string `yaml:"memory"`

	// CPUs is how much time of processors the container may use, such as "0.5" or "2".
	CPUs string `yaml:"cpus"`

	// PidsLimit is how many processes the container may have.
	PidsLimit int64 `yaml:"pids_limit"`

	// ShmSize is the size of /dev/shm, as that of memory.
	ShmSize string `yaml:"shm_size"`

	// Init has a small process of the engine reap children and pass on signals.
	Init bool `yaml:"init"`

	// LogDriver is how the engine keeps the output, such as json-file or journald.
	LogDriver string `yaml:"log_driver"`

	// LogOptions go to the log driver. Values are never shown.
	LogOptions map[string]string `yaml:"log_options" vigo:"secret"`

	// StopSignal ends the container, such as SIGTERM.
	StopSignal string `yaml:"stop_signal"`

	// StopTimeout is how long the container has to end before it is killed; that of the engine, ten seconds, if it is not given.
	StopTimeout resource.Duration `yaml:"stop_timeout"`

	// Engine is docker, podman, or the path of a socket. The first of Docker and Podman that is there if it is not given.
	Engine string `yaml:"engine"`
}

// ContainerHealth is how the engine finds out whether a container works.
type ContainerHealth struct {
	// Command runs in the container; 0 says that it works.
	Command resource.Argv `yaml:"command" vigo:"required"`

	// Interval between two checks; 30s if it is not given.
	Interval resource.Duration `yaml:"interval"`

	// Timeout of a check; 30s if it is not given.
	Timeout resource.Duration `yaml:"timeout"`

	// StartPeriod is how long a failed check does not count after the start.
	StartPeriod resource.Duration `yaml:"start_period"`

	// Retries are how many checks must fail in a row; 3 if it is not given.
	Retries int64 `yaml:"retries"`
}

var (
	_ resource.Validator = (*Container)(nil)
	_ resource.Requirer  = (*Container)(nil)
	_ resource.Refresher = (*Container)(nil)
)

// Validate implements [resource.Validator].
func (c *Container) Validate() error {
	if !plainWord(c.Name, ".") || len(c.Name) < 2 {
		return fault.WithHint(fmt.Errorf("%q is not the name of a container", c.Name), `at least two letters, digits, ".", "-" and "_"`)
	}
	if strings.HasSuffix(c.Name, oldContainer) || strings.HasSuffix(c.Name, newContainer) {
		return fmt.Errorf("a name that ends in %s or %s is that of a container that is being replaced", oldContainer, newContainer)
	}
	if err := checkEngine(c.Engine); err != nil || c.Ensure == "absent" {
		return err
	}
	if c.Image == "" {
		return errors.New("container needs an image")
	}
	if _, err := parseImage(c.Image); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	for key := range c.Labels {
		if key == "" || key == declarationLabel {
			return fmt.Errorf("labels: %q cannot be set", key)
		}
	}
	for name := range c.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("env: %q is not the name of a variable", name)
		}
	}
	_, err := c.body()
	return err
}

// Requires implements [resource.Requirer].
func (c *Container) Requires() []resource.ID {
	ids := append(engineRequires(), resource.ID{Type: "container_image", Name: c.Image})
	for _, v := range c.Volumes {
		if source, _, _ := strings.Cut(v, ":"); strings.HasPrefix(source, "/") {
			ids = append(ids, resource.ID{Type: "file", Name: source}, resource.ID{Type: "directory", Name: source}, resource.ID{Type: "mount", Name: source})
		}
	}
	for _, o := range c.SecurityOptions {
		if profile, named := strings.CutPrefix(o, "seccomp="); named && strings.HasPrefix(profile, "/") {
			ids = append(ids, resource.ID{Type: "file", Name: profile})
		}
	}
	for _, n := range c.Networks {
		if name, other := strings.CutPrefix(n, "container:"); other {
			ids = append(ids, resource.ID{Type: "container", Name: name})
		}
	}
	return ids
}

// envList is the environment as an engine takes it.
func (c *Container) envList() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		list = append(list, name+"="+c.Env[name])
	}
	return list
}
