package resources

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
)

// containerBody is what POST /containers/create takes; field names are those of the API.
type containerBody struct {
	Image            string
	Cmd              []string            `json:",omitempty"`
	Entrypoint       []string            `json:",omitempty"`
	Env              []string            `json:",omitempty"`
	Labels           map[string]string   `json:",omitempty"`
	ExposedPorts     map[string]struct{} `json:",omitempty"`
	Healthcheck      *healthBody         `json:",omitempty"`
	User             string              `json:",omitempty"`
	WorkingDir       string              `json:",omitempty"`
	Hostname         string              `json:",omitempty"`
	StopSignal       string              `json:",omitempty"`
	StopTimeout      int64               `json:",omitempty"` // seconds
	HostConfig       hostBody
	NetworkingConfig *networkBody `json:",omitempty"`
}

type healthBody struct {
	Test        []string
	Interval    time.Duration `json:",omitempty"` // nanoseconds, as all of them
	Timeout     time.Duration `json:",omitempty"`
	StartPeriod time.Duration `json:",omitempty"`
	Retries     int64         `json:",omitempty"`
}

type hostBody struct {
	Binds          []string                 `json:",omitempty"`
	Tmpfs          map[string]string        `json:",omitempty"`
	PortBindings   map[string][]portBinding `json:",omitempty"`
	NetworkMode    string                   `json:",omitempty"`
	RestartPolicy  *restartPolicy           `json:",omitempty"`
	ExtraHosts     []string                 `json:",omitempty"`
	DNS            []string                 `json:"Dns,omitempty"`
	CapAdd         []string                 `json:",omitempty"`
	CapDrop        []string                 `json:",omitempty"`
	Privileged     bool                     `json:",omitempty"`
	ReadonlyRootfs bool                     `json:",omitempty"`
	SecurityOpt    []string                 `json:",omitempty"`
	Devices        []deviceBody             `json:",omitempty"`
	Sysctls        map[string]string        `json:",omitempty"`
	Ulimits        []ulimitBody             `json:",omitempty"`
	Memory         int64                    `json:",omitempty"`
	NanoCPUs       int64                    `json:"NanoCpus,omitempty"`
	PidsLimit      int64                    `json:",omitempty"`
	ShmSize        int64                    `json:",omitempty"`
	Init           bool                     `json:",omitempty"`
	LogConfig      *logBody                 `json:",omitempty"`
}

type portBinding struct {
	HostIP   string `json:"HostIp,omitempty"`
	HostPort string `json:",omitempty"`
}

type restartPolicy struct {
	Name              string
	MaximumRetryCount int `json:",omitempty"`
}

// String is the policy as a declaration writes it.
func (p restartPolicy) String() string {
	if p.MaximumRetryCount > 0 {
		return fmt.Sprintf("%s:%d", p.Name, p.MaximumRetryCount)
	}
	return orWord(p.Name, "no")
}

type deviceBody struct{ PathOnHost, PathInContainer, CgroupPermissions string }

type ulimitBody struct {
	Name       string
	Soft, Hard int64
}

type logBody struct {
	Type   string            `json:",omitempty"`
	Config map[string]string `json:",omitempty"`
}

type networkBody struct{ EndpointsConfig map[string]struct{} }

// body is the container as the engine is to make it, without the declaration; an error says what no engine takes.
func (c *Container) body() (containerBody, error) {
	ref, err := parseImage(c.Image)
	if err != nil {
		return containerBody{}, err
	}
	b := containerBody{
		Image: ref.tagged(), Cmd: c.Command, Entrypoint: c.Entrypoint, Env: c.envList(), Labels: map[string]string{}, User: c.User,
		WorkingDir: c.Workdir, Hostname: c.Hostname, StopSignal: c.StopSignal, StopTimeout: int64(c.StopTimeout.Seconds()),
		HostConfig: hostBody{Binds: c.Volumes, ExtraHosts: c.ExtraHosts, DNS: c.DNS, CapAdd: c.CapAdd, CapDrop: c.CapDrop,
			Privileged: c.Privileged, ReadonlyRootfs: c.ReadOnly, SecurityOpt: c.SecurityOptions, Sysctls: c.Sysctls,
			PidsLimit: c.PidsLimit, Init: c.Init},
	}
	for key, value := range c.Labels {
		b.Labels[key] = value
	}
	if h := c.Healthcheck; h != nil {
		b.Healthcheck = &healthBody{append([]string{"CMD"}, h.Command...), h.Interval.Duration, h.Timeout.Duration, h.StartPeriod.Duration, h.Retries}
	}
	if c.LogDriver != "" || len(c.LogOptions) > 0 {
		b.HostConfig.LogConfig = &logBody{c.LogDriver, c.LogOptions}
	}
	for _, part := range []func(*containerBody) error{c.ports, c.mounts, c.network, c.restart, c.limits, c.devices} {
		if err := part(&b); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (c *Container) mounts(b *containerBody) error {
	for _, v := range c.Volumes {
		parts := strings.Split(v, ":")
		switch {
		case len(parts) < 2 || len(parts) > 3 || !path.IsAbs(parts[1]):
			return fault.WithHint(fmt.Errorf("volumes: %q is not a volume", v), "write NAME:/path or /path/of/the/host:/path, with :ro behind it")
		case path.IsAbs(parts[0]) && path.Clean(parts[0]) == parts[0]:
		case !plainWord(parts[0], "."):
			return fmt.Errorf("volumes: %q is neither the name of a volume nor a clean absolute path", parts[0])
		}
	}
	for _, t := range c.Tmpfs {
		at, options, _ := strings.Cut(t, ":")
		if !path.IsAbs(at) {
			return fmt.Errorf("tmpfs: %q is not an absolute path", at)
		}
		if b.HostConfig.Tmpfs == nil {
			b.HostConfig.Tmpfs = map[string]string{}
		}
		b.HostConfig.Tmpfs[at] = options
	}
	return nil
}

// network has the engine make the container in the first network; it cannot make it in several before version 1.44.
func (c *Container) network(b *containerBody) error {
	for _, n := range c.Networks {
		special := noNetwork(n)
		switch {
		case n == "default":
			return fault.WithHint(errors.New("networks: default is the name of none"), "leave networks out for that of the engine, which Docker calls bridge and Podman podman")
		case special && len(c.Networks) > 1:
			return fmt.Errorf("networks: %s excludes other networks", n)
		case !plainWord(strings.TrimPrefix(n, "container:"), "."):
			return fmt.Errorf("networks: %q is not the name of a network", n)
		case special && len(c.Ports) > 0 && n != "none":
			return fault.WithHint(fmt.Errorf("ports: a container in the network %s publishes none", n), "its ports are those of "+n)
		}
	}
	if len(c.Networks) == 0 {
		return nil
	}
	first := c.Networks[0]
	b.HostConfig.NetworkMode = first
	if !noNetwork(first) {
		b.NetworkingConfig = &networkBody{map[string]struct{}{first: {}}}
	}
	return nil
}

// noNetwork tells what is no network of the engine.
func noNetwork(name string) bool {
	return name == "host" || name == "none" || strings.HasPrefix(name, "container:")
}

func (c *Container) restart(b *containerBody) error {
	name, times, limited := strings.Cut(c.Restart, ":")
	policy := restartPolicy{Name: name}
	switch name {
	case "", "no", "always", "unless-stopped", "on-failure":
	default:
		return fault.WithHint(fmt.Errorf("restart: %q is not known", c.Restart), "no, always, unless-stopped, on-failure, or on-failure:N")
	}
	if limited {
		n, err := strconv.Atoi(times)
		if err != nil || n < 1 || name != "on-failure" {
			return fault.WithHint(fmt.Errorf("restart: %q is not known", c.Restart), "only on-failure has a number of times behind it")
		}
		policy.MaximumRetryCount = n
	}
	if name != "" {
		b.HostConfig.RestartPolicy = &policy
	}
	return nil
}

var byteSize = regexp.MustCompile(`^([1-9][0-9]{0,14})([bkmg]?)$`)

// sizeOf reads a number of bytes such as 512m; the units are powers of 1024.
func sizeOf(field, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	m := byteSize.FindStringSubmatch(strings.ToLower(text))
	if m == nil {
		return 0, fmt.Errorf("%s: %q is not a size: want a number of bytes, or one with k, m or g behind it", field, text)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	shift := map[string]int{"": 0, "b": 0, "k": 10, "m": 20, "g": 30}[m[2]]
	if err != nil || n > (1<<62)>>shift {
		return 0, fmt.Errorf("%s: %q is too much", field, text)
	}
	return n << shift, nil
}

func (c *Container) limits(b *containerBody) (err error) {
	if b.HostConfig.Memory, err = sizeOf("memory", c.Memory); err != nil {
		return err
	}
	if b.HostConfig.ShmSize, err = sizeOf("shm_size", c.ShmSize); err != nil {
		return err
	}
	if c.PidsLimit < 0 {
		return errors.New("pids_limit: want a number of processes")
	}
	if c.CPUs != "" {
		n, err := strconv.ParseFloat(c.CPUs, 64)
		if err != nil || !(n >= 0.01 && n <= 10_000) {
			return fmt.Errorf("cpus: %q is not a number of processors, such as \"0.5\"", c.CPUs)
		}
		b.HostConfig.NanoCPUs = int64(n*1e9 + 0.5)
	}
	for _, u := range c.Ulimits {
		name, values, _ := strings.Cut(u, "=")
		soft, hard, both := strings.Cut(values, ":")
		if !both {
			hard = soft
		}
		s, err1 := strconv.ParseInt(soft, 10, 64)
		n, err2 := strconv.ParseInt(hard, 10, 64)
		if !plainWord(name, "") || err1 != nil || err2 != nil {
			return fault.WithHint(fmt.Errorf("ulimits: %q is not a limit", u), "write nofile=1024 or nofile=1024:4096")
		}
		b.HostConfig.Ulimits = append(b.HostConfig.Ulimits, ulimitBody{name, s, n})
	}
	return nil
}

func (c *Container) devices(b *containerBody) error {
	for _, d := range c.Devices {
		parts := strings.Split(d, ":")
		dev := deviceBody{parts[0], parts[0], "rwm"}
		if len(parts) > 1 {
			dev.PathInContainer = parts[1]
		}
		if len(parts) > 2 {
			dev.CgroupPermissions = parts[2]
		}
		if len(parts) > 3 || !path.IsAbs(dev.PathOnHost) || !path.IsAbs(dev.PathInContainer) || strings.Trim(dev.CgroupPermissions, "rwm") != "" {
			return fault.WithHint(fmt.Errorf("devices: %q is not a device", d), "write /dev/ttyUSB0, or /dev/ttyUSB0:/dev/modem:rw")
		}
		b.HostConfig.Devices = append(b.HostConfig.Devices, dev)
	}
	return nil
}
