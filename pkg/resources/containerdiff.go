package resources

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/change"
)

// declaration is what the label keeps: fields as they are shown, without what may be a secret.
func (c *Container) declaration() map[string]string {
	d := map[string]string{}
	text := func(key, value string) {
		if value != "" {
			d[key] = value
		}
	}
	list := func(key string, value any, length int) {
		if length > 0 {
			d[key] = jsonText(value)
		}
	}
	text("image", c.Image)
	list("command", c.Command, len(c.Command))
	list("entrypoint", c.Entrypoint, len(c.Entrypoint))
	list("env", slices.Sorted(maps.Keys(c.Env)), len(c.Env))
	list("ports", c.Ports, len(c.Ports))
	list("volumes", c.Volumes, len(c.Volumes))
	list("tmpfs", c.Tmpfs, len(c.Tmpfs))
	list("networks", c.Networks, len(c.Networks))
	text("restart", c.Restart)
	list("labels", c.Labels, len(c.Labels))
	if c.Healthcheck != nil {
		h := c.Healthcheck
		d["healthcheck"] = fmt.Sprintf("%s every %s, timeout %s, start %s, retries %d", jsonText(h.Command), h.Interval, h.Timeout, h.StartPeriod, h.Retries)
	}
	text("user", c.User)
	text("workdir", c.Workdir)
	text("hostname", c.Hostname)
	list("extra_hosts", c.ExtraHosts, len(c.ExtraHosts))
	list("dns", c.DNS, len(c.DNS))
	list("cap_add", c.CapAdd, len(c.CapAdd))
	list("cap_drop", c.CapDrop, len(c.CapDrop))
	list("security_options", c.SecurityOptions, len(c.SecurityOptions))
	list("devices", c.Devices, len(c.Devices))
	list("sysctls", c.Sysctls, len(c.Sysctls))
	list("ulimits", c.Ulimits, len(c.Ulimits))
	list("log_options", slices.Sorted(maps.Keys(c.LogOptions)), len(c.LogOptions))
	text("memory", c.Memory)
	text("cpus", c.CPUs)
	text("shm_size", c.ShmSize)
	text("log_driver", c.LogDriver)
	text("stop_signal", c.StopSignal)
	for key, on := range map[string]bool{"privileged": c.Privileged, "read_only": c.ReadOnly, "init": c.Init} {
		if on {
			d[key] = "true"
		}
	}
	if c.PidsLimit > 0 {
		d["pids_limit"] = strconv.FormatInt(c.PidsLimit, 10)
	}
	if c.StopTimeout.Duration > 0 {
		d["stop_timeout"] = c.StopTimeout.String()
	}
	return d
}

// jsonText is a value in JSON; what it is called with can always be rendered.
func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// differences are the reasons to replace a container.
func (c *Container) differences(ctx context.Context, e engine, is *engineContainer) ([]change.Change, error) {
	var differs []change.Change
	want, have := c.declaration(), map[string]string{}
	label, ours := is.Config.Labels[declarationLabel]
	if !ours || json.Unmarshal([]byte(label), &have) != nil {
		return []change.Change{change.Of("declaration", "not made by Vigo", "made by Vigo")}, nil
	}
	for _, key := range slices.Sorted(maps.Keys(merged(want, have))) {
		if want[key] != have[key] {
			differs = append(differs, change.Of(key, orWord(have[key], "not set"), orWord(want[key], "not set")))
		}
	}
	differs = append(differs, hiddenDifferences("env", c.Env, envMap(is.Config.Env))...)
	differs = append(differs, hiddenDifferences("log_options", c.LogOptions, is.HostConfig.LogConfig.Config)...)
	if len(differs) > 0 {
		return differs, nil
	}
	differs, err := c.drifted(is)
	if err != nil || len(differs) > 0 {
		return differs, err
	}
	return c.otherImage(ctx, e, is)
}

// drifted is what somebody changed of the container since it was made: the engine lets one.
func (c *Container) drifted(is *engineContainer) ([]change.Change, error) {
	var differs []change.Change
	b, err := c.body()
	if err != nil {
		return nil, err
	}
	if want := b.HostConfig.Memory; want > 0 && want != is.HostConfig.Memory {
		differs = append(differs, change.Of("memory", is.HostConfig.Memory, want))
	}
	if want := b.HostConfig.NanoCPUs; want > 0 && want != is.HostConfig.NanoCPUs {
		differs = append(differs, change.Of("cpus", float64(is.HostConfig.NanoCPUs)/1e9, c.CPUs))
	}
	if want := b.HostConfig.PidsLimit; want > 0 && want != is.HostConfig.PidsLimit {
		differs = append(differs, change.Of("pids_limit", is.HostConfig.PidsLimit, want))
	}
	if want := b.HostConfig.RestartPolicy; want != nil && want.String() != is.HostConfig.RestartPolicy.String() {
		differs = append(differs, change.Of("restart", is.HostConfig.RestartPolicy, *want))
	}
	return differs, nil
}

// otherImage tells whether the name of the image leads to another than the container is made of. A name that leads nowhere is none:
// the container is there, and works.
func (c *Container) otherImage(ctx context.Context, e engine, is *engineContainer) ([]change.Change, error) {
	ref, err := parseImage(c.Image)
	if err != nil {
		return nil, err
	}
	now, err := e.image(ctx, ref.tagged())
	if err != nil || now == nil || now.ID == is.Image {
		return nil, err
	}
	return []change.Change{change.Of("image", short(is.Image), short(now.ID))}, nil
}

// unconnected are the networks that the container should be in and is not.
func (c *Container) unconnected(is *engineContainer) []string {
	var missing []string
	for _, n := range c.Networks {
		if _, in := is.NetworkSettings.Networks[n]; !in && !noNetwork(n) {
			missing = append(missing, n)
		}
	}
	return missing
}

// hiddenDifferences compares values that are not shown; what is there beyond those wanted is left alone.
func hiddenDifferences(field string, want, have map[string]string) []change.Change {
	var differs []change.Change
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if value, there := have[name]; there && value != want[name] {
			differs = append(differs, change.Secret(field+"."+name))
		} else if !there {
			differs = append(differs, change.Change{Field: field + "." + name, From: change.Absent, To: change.Masked})
		}
	}
	return differs
}

func envMap(list []string) map[string]string {
	m := make(map[string]string, len(list))
	for _, entry := range list {
		name, value, _ := strings.Cut(entry, "=")
		m[name] = value
	}
	return m
}

func merged(a, b map[string]string) map[string]string {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}
