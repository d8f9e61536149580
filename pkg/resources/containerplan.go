package resources

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

const (
	// declarationLabel keeps what a container was declared as, in JSON.
	declarationLabel = "dev.vigo.declaration"

	// What stands behind the name while a container is replaced.
	oldContainer, newContainer = ".vigo-old", ".vigo-new"
)

// engineContainer is what an engine says of a container.
type engineContainer struct {
	ID           string `json:"Id"`
	Image        string // its id
	RestartCount int    // how often the engine started it again since it was told to
	State        struct {
		Status     string // created, running, paused, restarting, exited, dead
		Running    bool   // of one that waits to be started again too, with Docker
		Paused     bool
		Restarting bool // it ended, and the engine will start it again
		ExitCode   int
		Error      string
		Health     *struct{ Status string } // starting, healthy, unhealthy
	}
	Config struct {
		Labels map[string]string
		Env    []string
	}
	HostConfig struct {
		Memory        int64
		NanoCPUs      int64 `json:"NanoCpus"`
		PidsLimit     int64
		RestartPolicy restartPolicy
		LogConfig     logBody
	}
	NetworkSettings struct{ Networks map[string]any }
}

// state is what Ensure says of it.
func (i *engineContainer) state() string {
	switch {
	case i == nil:
		return change.Absent
	case i.State.Paused:
		return "paused"
	case i.State.Restarting:
		return "restarting"
	case i.State.Running:
		return "running"
	}
	return "stopped"
}

// health is what the health check says: starting, healthy, unhealthy; empty if there is none.
func (i *engineContainer) health() string {
	if i.State.Health == nil || i.State.Health.Status == "none" {
		return ""
	}
	return i.State.Health.Status
}

// container looks at a container; nil if there is none of that name.
func (e engine) container(ctx context.Context, name string) (*engineContainer, error) {
	var is engineContainer
	err := e.get(ctx, "/containers/"+name+"/json", nil, &is)
	if errors.Is(err, host.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking at the container %s: %w", name, err)
	}
	return &is, nil
}

// Plan implements [resource.Resource].
func (c *Container) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	e, err := engineOf(h, c.Engine)
	if err != nil {
		return p, err
	}
	is, err := e.container(ctx, c.Name)
	if err != nil {
		return p, err
	}
	want := orWord(c.Ensure, "running")
	state := change.Of("ensure", is.state(), want)
	switch {
	case want == change.Absent && is != nil:
		p.Do(func(ctx context.Context) error { return e.drop(ctx, c.Name) }, state)
	case want == change.Absent:
	case is == nil:
		p.Do(c.replacement(e, is).run, state)
	default:
		if err := c.planOld(ctx, e, is, &p, state); err != nil {
			return p, err
		}
	}
	return p, c.planLeft(ctx, e, is, &p)
}

// planOld plans what becomes of a container that is there.
func (c *Container) planOld(ctx context.Context, e engine, is *engineContainer, p *resource.Plan, state change.Change) error {
	differs, err := c.differences(ctx, e, is)
	if err != nil {
		return err
	}
	missing := c.unconnected(is)
	right := state.From == state.To
	switch {
	case len(differs) > 0 && c.Recreate != nil && !*c.Recreate:
		return c.refusal(differs)
	case len(differs) > 0:
		if !right {
			differs = append(differs, state)
		}
		p.Do(c.replacement(e, is).run, differs...)
		return nil
	case len(missing) > 0:
		p.Do(func(ctx context.Context) error { return e.connect(ctx, is.ID, missing) },
			change.Of("networks", strings.Join(slices.Sorted(maps.Keys(is.NetworkSettings.Networks)), ", "), strings.Join(c.Networks, ", ")))
	}
	switch {
	case right:
	case state.To == "stopped":
		p.Do(func(ctx context.Context) error { return e.post(ctx, "/containers/"+is.ID+"/stop", nil, nil, nil) }, state)
	case state.From == "restarting":
		p.Do(func(context.Context) error { return c.endsAgain(is) }, state)
	case state.From == "paused":
		p.Do(func(ctx context.Context) error { return e.post(ctx, "/containers/"+is.ID+"/unpause", nil, nil, nil) }, state)
	default:
		p.Do(func(ctx context.Context) error { return c.start(ctx, e, is.ID) }, state)
	}
	return nil
}

// refusal says what differs, for a container that must not be replaced.
func (c *Container) refusal(differs []change.Change) error {
	var fields []string
	for _, d := range differs {
		fields = append(fields, d.Field)
	}
	err := fmt.Errorf("the container %s differs in %s, and recreate: false forbids to replace it", c.Name, strings.Join(fields, ", "))
	return fault.WithHint(err, "remove it by hand when it may go")
}

// planLeft plans the end of what a replacement left behind that died in the middle.
func (c *Container) planLeft(ctx context.Context, e engine, is *engineContainer, p *resource.Plan) error {
	for _, suffix := range []string{newContainer, oldContainer} {
		name := c.Name + suffix
		left, err := e.container(ctx, name)
		if err != nil {
			return err
		}
		if left != nil {
			p.Do(func(ctx context.Context) error { return e.drop(ctx, name) }, change.Of("leftover "+name, "present", change.Absent))
		}
	}
	return nil
}

// drop removes a container, which is stopped first as it wants to be.
func (e engine) drop(ctx context.Context, name string) error {
	err := e.post(ctx, "/containers/"+name+"/stop", nil, nil, nil)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return fmt.Errorf("stopping the container %s: %w", name, err)
	}
	if err := e.discard(ctx, name); err != nil {
		return fmt.Errorf("removing the container %s: %w", name, err)
	}
	return nil
}

// discard removes a container by its name or id, whatever it does. The engine may be at it: one that was started to be removed when
// it ends is refused to everybody else, and takes a moment to go.
func (e engine) discard(ctx context.Context, name string) error {
	err := e.remove(ctx, "/containers/"+name, url.Values{"force": {"true"}})
	var busy engineBusy
	if !errors.As(err, &busy) || !strings.Contains(string(busy), "already in progress") {
		return err
	}
	err = e.post(ctx, "/containers/"+name+"/wait", url.Values{"condition": {"removed"}}, nil, nil)
	if errors.Is(err, host.ErrNotFound) {
		return nil
	}
	return err
}

// connect puts a container into networks.
func (e engine) connect(ctx context.Context, id string, networks []string) error {
	for _, n := range networks {
		if err := e.post(ctx, "/networks/"+n+"/connect", nil, map[string]any{"Container": id}, nil); err != nil {
			return fmt.Errorf("connecting to the network %s: %w", n, err)
		}
	}
	return nil
}
