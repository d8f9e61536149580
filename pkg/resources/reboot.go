package resources

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"weak"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/window"
)

// Reboot boots the machine again when that is due: because an update asks for it, or a resource that notifies this one has
// changed. It is ordered once, after everything else in the run, with a delay in which the report of the run is sent. The
// key window, which every resource has, bounds when it may be; it is looked at again before the order, and must still be open
// when the delay is over. Where reboots: in fleet.yaml has nodes take turns, it waits for that of this node. On a machine without
// systemd a process waits for the delay; /run/vigo-reboot.pid has its number, and to kill it calls the reboot off.
//
//	resources:
//	  - reboot: for updates
//	    at_most_every: 24h
//	    window: nightly
type Reboot struct {
	// Name in the policy, free to choose.
	Name string `vigo:"identity"`

	// When it is due: pending (the default) when an update asks for it by /run/reboot-required, or the kernel that runs
	// has been removed; notified only when a resource that notifies this one has changed.
	When string `yaml:"due" vigo:"enum=pending|notified"`

	// AtMostEvery is how long the machine must have been up before; 1h by default. It ends a loop of reboots.
	AtMostEvery *resource.Duration `yaml:"at_most_every"`

	// Delay between the end of the run and the reboot, in whole minutes; 1m by default.
	Delay *resource.Duration `yaml:"delay"`

	// Message is what those who are logged in are told.
	Message string `yaml:"message"`

	// ordered is the host, and with it the run, at whose end the machine is to be booted; reason says why.
	ordered weak.Pointer[host.Host]
	reason  string
	window  window.Window
}

var (
	_ resource.Validator = (*Reboot)(nil)
	_ resource.Refresher = (*Reboot)(nil)
	_ resource.Finisher  = (*Reboot)(nil)
	_ resource.Punctual  = (*Reboot)(nil)
)

// Validate implements [resource.Validator].
func (r *Reboot) Validate() error {
	if r.Delay != nil && (r.Delay.Duration%time.Minute != 0 || r.Delay.Duration < time.Minute) {
		return errors.New("delay: want whole minutes, at least 1m, so that the report of the run is sent")
	}
	if r.AtMostEvery != nil && r.AtMostEvery.Duration < 10*time.Minute {
		return errors.New("at_most_every: want at least 10m, or the machine could hardly be reached any more")
	}
	return oneLine("message", r.Message)
}

// Plan implements [resource.Resource].
func (r *Reboot) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if r.When == "notified" || r.ordered == weak.Make(h) {
		return p, nil
	}
	reason, err := rebootReason(h)
	if err != nil || reason == "" {
		return p, err
	}
	early, err := r.early(h)
	if err != nil || early {
		return p, err
	}
	if ordered, err := rebootOrdered(h); err != nil || ordered {
		return p, err
	}
	p.Do(func(context.Context) error { r.order(h, reason); return nil }, change.Of("reboot", "due: "+reason, "at the end of the run"))
	return p, nil
}

// rebootReason says why a reboot is pending; "" if none is.
func rebootReason(h *host.Host) (string, error) {
	for _, sign := range []string{"/run/reboot-required", "/var/run/reboot-required"} {
		is, err := look(h, sign)
		if err != nil {
			return "", err
		}
		if is == nil || is.Kind != host.File {
			continue
		}
		packages, err := h.FS.Read(sign+".pkgs", 64<<10)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return "", err
		}
		if names := strings.Fields(string(packages)); len(names) > 0 {
			return "updates of " + strings.Join(names, ", "), nil
		}
		return sign, nil
	}
	return replacedKernel(h)
}

// replacedKernel says that the modules of the running kernel are gone, as they are when a package has replaced it.
func replacedKernel(h *host.Host) (string, error) {
	release, err := h.FS.Read("/proc/sys/kernel/osrelease", 1<<10)
	if errors.Is(err, host.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(release))
	kernels, err := h.FS.List("/boot")
	if errors.Is(err, host.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	own, other := false, ""
	for _, k := range kernels {
		if version, ok := strings.CutPrefix(k.Name, "vmlinuz-"); ok && k.Kind == host.File {
			own = own || version == name
			other = version
		}
	}
	if own || other == "" {
		return "", nil
	}
	return "kernel " + name + " runs and is removed", nil
}

// early reports whether the machine was booted too short a time ago.
func (r *Reboot) early(h *host.Host) (bool, error) {
	least := time.Hour
	if r.AtMostEvery != nil {
		least = r.AtMostEvery.Duration
	}
	text, err := h.FS.Read("/proc/uptime", 1<<10)
	if err != nil {
		return false, fmt.Errorf("reading how long the machine is up: %w", err)
	}
	seconds, _, _ := strings.Cut(string(text), " ")
	up, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		return false, fmt.Errorf("reading how long the machine is up: %q is not a number", seconds)
	}
	return up < least.Seconds(), nil
}

// Refresh implements [resource.Refresher].
func (r *Reboot) Refresh(_ context.Context, h *host.Host) error {
	early, err := r.early(h)
	if err != nil {
		return err
	}
	if early {
		return errors.New("the machine was booted too short a time ago; it is tried again in the next run")
	}
	r.order(h, "a change of what it is notified by")
	return nil
}

func (r *Reboot) order(h *host.Host, reason string) { r.ordered, r.reason = weak.Make(h), reason }

// Within implements [resource.Punctual].
func (r *Reboot) Within(w window.Window) { r.window = w }

// open returns an error if the window is closed now, or will be when the machine goes down.
func (r *Reboot) open(h *host.Host, delay time.Duration) error {
	switch now := h.Clock.Now(); {
	case !r.window.Open(now):
		return &host.Wait{Reason: r.window.Closed(now)}
	case !r.window.Open(now.Add(delay)):
		return &host.Wait{Reason: fmt.Sprintf("the window %s ends before the machine would go down", r.window.Name)}
	}
	return nil
}

// Finish implements [resource.Finisher]. The window is looked at again when it is the turn of the machine: a run may have taken
// long, and so may the answer.
func (r *Reboot) Finish(ctx context.Context, h *host.Host) error {
	if r.ordered != weak.Make(h) {
		return nil
	}
	delay := time.Minute
	if r.Delay != nil {
		delay = r.Delay.Duration
	}
	message := orWord(r.Message, "Vigo reboots this machine: "+r.Name)
	if err := r.open(h, delay); err != nil {
		return err
	}
	if err := h.Turns.Reboot(ctx, r.reason, delay); err != nil {
		return err
	}
	err := r.open(h, delay)
	if err == nil {
		err = orderReboot(ctx, h, delay, message)
	}
	if err == nil {
		return nil
	}
	if back := h.Turns.Back(ctx); back != nil {
		return fmt.Errorf("%w; giving back the turn: %w", err, back)
	}
	return err
}
