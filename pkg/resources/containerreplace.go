package resources

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// replacement makes a container, in the place of an old one if there is one. The old one goes last: until the new one runs, it can
// come back.
type replacement struct {
	*Container
	e   engine
	old *engineContainer
}

func (c *Container) replacement(e engine, old *engineContainer) *replacement {
	return &replacement{c, e, old}
}

// undoTime is for putting the old container back, whatever the time of the run says.
const undoTime = time.Minute

func (r *replacement) run(ctx context.Context) error {
	for _, suffix := range []string{newContainer, oldContainer} { // of one that died in the middle
		if err := r.e.discard(ctx, r.Name+suffix); err != nil {
			return fmt.Errorf("removing what an earlier run left: %w", err)
		}
	}
	id, err := r.make(ctx)
	if err != nil {
		return err
	}
	if err = r.swap(ctx, id); err == nil {
		return nil
	}
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if undone := r.undo(back, id); undone != nil {
		return errors.Join(err, fmt.Errorf("putting the old container back: %w", undone))
	}
	return err
}

// make makes the new container beside the old one, and returns its id.
func (r *replacement) make(ctx context.Context) (string, error) {
	ref, err := parseImage(r.Image)
	if err != nil {
		return "", err
	}
	is, err := r.e.image(ctx, ref.tagged())
	if err != nil {
		return "", err
	}
	if is == nil || ref.digest != "" && !is.has(ref.digest) {
		if r.Pull == "never" {
			err := fmt.Errorf("looking for the image %s: %w", r.Image, host.ErrNotFound)
			return "", fault.WithHint(err, "declare it as a container_image, or leave pull: never out")
		}
		if err := r.e.pull(ctx, ref, "", registryLogin{}); err != nil {
			return "", err
		}
	}
	if err := r.e.haveNetworks(ctx, r.Networks); err != nil {
		return "", err
	}
	body, err := r.body()
	if err != nil {
		return "", err
	}
	if body.HostConfig.SecurityOpt, err = r.securityOptions(ctx); err != nil {
		return "", err
	}
	body.Labels[declarationLabel] = jsonText(r.declaration())
	var made struct {
		ID       string `json:"Id"`
		Warnings []string
	}
	if err := r.e.post(ctx, "/containers/create", url.Values{"name": {r.Name + newContainer}}, body, &made); err != nil {
		return "", fmt.Errorf("making the container: %w", err)
	}
	if err = r.kept(ctx, made.ID, made.Warnings); err == nil && len(r.Networks) > 1 {
		err = r.e.connect(ctx, made.ID, r.Networks[1:])
	}
	if err != nil {
		_ = r.e.discard(ctx, made.ID) // the next run removes it too
	}
	return made.ID, err
}

// haveNetworks looks whether the engine has networks: Docker would tell at the start only, when the old container has ended.
func (e engine) haveNetworks(ctx context.Context, networks []string) error {
	for _, n := range networks {
		if noNetwork(n) {
			continue
		}
		err := e.get(ctx, "/networks/"+n, nil, nil)
		if errors.Is(err, host.ErrNotFound) {
			err = fault.WithHint(err, "docker network create "+n+" makes it, or podman network create")
		}
		if err != nil {
			return fmt.Errorf("looking for the network %s: %w", n, err)
		}
	}
	return nil
}

// kept looks whether the engine took what it may leave out of a container that it made. Docker does so with limits that the kernel
// does not count, and says it in a warning; the container would be replaced at each run.
func (r *replacement) kept(ctx context.Context, id string, warnings []string) error {
	is, err := r.e.container(ctx, id)
	if err != nil {
		return err
	}
	if is == nil {
		return fmt.Errorf("making the container: %w", host.ErrNotFound)
	}
	differs, err := r.drifted(is)
	if err != nil || len(differs) == 0 {
		return err
	}
	var fields []string
	for _, d := range differs {
		fields = append(fields, d.Field)
	}
	err = fmt.Errorf("making the container: the container engine leaves out %s: %s", strings.Join(fields, ", "), orWord(strings.Join(warnings, "; "), "it does not say why"))
	return fault.WithHint(err, "the kernel may not count it: cgroup_enable=memory on its command line is for memory; or declare no limit")
}

// swap gives the new container the name, and starts it.
func (r *replacement) swap(ctx context.Context, id string) error {
	if r.old != nil {
		if err := r.e.post(ctx, "/containers/"+r.old.ID+"/stop", nil, nil, nil); err != nil {
			return fmt.Errorf("stopping the old container: %w", err)
		}
		// One that was made to be removed when it ends is gone now.
		if err := r.e.rename(ctx, r.old.ID, r.Name+oldContainer); err != nil && !errors.Is(err, host.ErrNotFound) {
			return err
		}
	}
	if err := r.e.rename(ctx, id, r.Name); err != nil {
		return err
	}
	if r.Ensure != "stopped" {
		if err := r.start(ctx, r.e, id); err != nil {
			return err
		}
	}
	if r.old == nil {
		return nil
	}
	if err := r.e.discard(ctx, r.old.ID); err != nil {
		return fmt.Errorf("removing the old container: %w", err)
	}
	return nil
}

// undo removes the new container and puts the old one back as it was.
func (r *replacement) undo(ctx context.Context, id string) error {
	if err := r.e.discard(ctx, id); err != nil || r.old == nil {
		return err
	}
	is, err := r.e.container(ctx, r.Name)
	if err != nil {
		return err
	}
	if is == nil {
		if err := r.e.rename(ctx, r.old.ID, r.Name); err != nil {
			return err
		}
	}
	if r.old.state() != "running" {
		return nil
	}
	return r.e.post(ctx, "/containers/"+r.old.ID+"/start", nil, nil, nil)
}

func (e engine) rename(ctx context.Context, id, name string) error {
	if err := e.post(ctx, "/containers/"+id+"/rename", url.Values{"name": {name}}, nil, nil); err != nil {
		return fmt.Errorf("renaming a container to %s: %w", name, err)
	}
	return nil
}

// start starts a container and waits as long as the declaration says.
func (c *Container) start(ctx context.Context, e engine, id string) error {
	if err := e.post(ctx, "/containers/"+id+"/start", nil, nil, nil); err != nil {
		return fmt.Errorf("starting the container %s: %w", c.Name, err)
	}
	return c.wait(ctx, e, id)
}

// Refresh implements [resource.Refresher].
func (c *Container) Refresh(ctx context.Context, h *host.Host) error {
	if slices.Contains([]string{"stopped", "absent"}, c.Ensure) {
		return nil
	}
	e, err := engineOf(h, c.Engine)
	if err != nil {
		return err
	}
	if err := e.post(ctx, "/containers/"+c.Name+"/restart", nil, nil, nil); err != nil {
		return fmt.Errorf("restarting the container %s: %w", c.Name, err)
	}
	return c.wait(ctx, e, c.Name)
}

// endsAgain is the error of a container that the engine starts again and again.
func (c *Container) endsAgain(is *engineContainer) error {
	err := fmt.Errorf("the container %s ended with status %d, and the engine starts it again, %d times so far", c.Name, is.State.ExitCode, is.RestartCount)
	return fault.WithHint(err, "its log says more: docker logs "+c.Name+", or podman logs")
}

const (
	lookAgain  = 200 * time.Millisecond // between two looks at a container that starts
	steadyFrom = time.Second            // a container without a health check works if it has run for so long
)

// wait looks at a container that was started until it works, or does not.
func (c *Container) wait(ctx context.Context, e engine, id string) error {
	if c.Wait.Duration == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Wait.Duration)
	defer cancel()
	steady := time.NewTimer(steadyFrom)
	defer steady.Stop()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	long, restarts := false, -1
	for {
		is, err := e.container(ctx, id)
		if err == nil && is != nil && restarts < 0 {
			restarts = is.RestartCount
		}
		switch {
		case err == nil && is == nil:
			return fmt.Errorf("the container %s is gone", c.Name)
		case ctx.Err() != nil:
			return fmt.Errorf("waiting for the container %s: it does not work after %s", c.Name, c.Wait)
		case err != nil:
			return err
		case is.State.Restarting || is.RestartCount > restarts:
			return c.endsAgain(is)
		case !is.State.Running:
			err := fmt.Errorf("the container %s ended with status %d", c.Name, is.State.ExitCode)
			return fault.WithHint(err, "its log says more: docker logs "+c.Name+", or podman logs")
		case is.health() == "unhealthy":
			return fmt.Errorf("the container %s is unhealthy", c.Name)
		case is.health() == "healthy", is.health() == "" && long:
			return nil
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-steady.C:
			long = true
		}
	}
}
