package resources

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// composePlugins are where docker looks for the plugin compose.
// https://docs.docker.com/compose/install/linux/
func composePlugins() []string {
	return []string{
		"/root/.docker/cli-plugins/docker-compose",
		"/usr/local/lib/docker/cli-plugins/docker-compose", "/usr/local/libexec/docker/cli-plugins/docker-compose",
		"/usr/lib/docker/cli-plugins/docker-compose", "/usr/libexec/docker/cli-plugins/docker-compose",
	}
}

// program is what runs compose: that of the declaration; or podman-compose with Podman; or docker, if it has the plugin; or
// docker-compose, which is all that Debian has.
func (c *Compose) program(h *host.Host, e engine) (string, error) {
	if c.Program != "" {
		return c.Program, nil
	}
	if strings.Contains(e.socket, "podman") {
		return "podman-compose", nil
	}
	for _, plugin := range composePlugins() {
		is, err := look(h, plugin)
		if err != nil {
			return "", fmt.Errorf("looking for docker compose: %w", err)
		}
		if is != nil {
			return "docker", nil
		}
	}
	_, err := h.Run.Find("docker-compose")
	if errors.Is(err, host.ErrNotFound) {
		err = fault.WithHint(err, "install docker-compose-plugin of Docker, or docker-compose")
		return "", fmt.Errorf("looking for the plugin compose of docker, and for docker-compose: %w", err)
	}
	return "docker-compose", err
}

// run runs compose, with arguments that all programs know.
func (c *Compose) run(ctx context.Context, h *host.Host, e engine, files []string, args ...string) error {
	program, err := c.program(h, e)
	if err != nil {
		return err
	}
	argv := []string{program}
	if program == "docker" {
		argv = append(argv, "compose")
	}
	argv = append(argv, "-p", c.project())
	for _, f := range files {
		argv = append(argv, "-f", f)
	}
	for _, p := range c.Profiles {
		argv = append(argv, "--profile", p)
	}
	cmd := host.Command{Argv: append(argv, args...), Dir: c.Directory}
	if program != "podman-compose" {
		cmd.Env = append(cmd.Env, "DOCKER_HOST=unix://"+e.socket)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		cmd.Env = append(cmd.Env, name+"="+c.Env[name])
	}
	return runCommand(ctx, h, cmd)
}
