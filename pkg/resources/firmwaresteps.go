package resources

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

const firmwareDir = "/var/lib/vigo-firmware"

// firmwareState is where a device is, kept before each step that depends on it.
type firmwareState struct {
	Committed firmwareImage     `json:"committed"`
	Applied   firmwareImage     `json:"applied"`            // waits for a reboot, or is on trial; empty digest: none
	Tried     map[string]int    `json:"tried,omitempty"`    // how often an image was applied, by digest
	Rejected  map[string]string `json:"rejected,omitempty"` // why an image is not tried again, by digest
}

type firmwareImage struct {
	Digest  string    `json:"digest,omitempty"`
	Version string    `json:"version,omitempty"`
	Boot    string    `json:"boot,omitempty"` // in which it was applied
	Trial   time.Time `json:"trial,omitzero"` // when its trial began
	// Unfinished says that it was about to be applied, and nobody came back to say that it was.
	Unfinished bool `json:"unfinished,omitempty"`
}

func (f *Firmware) file() string { return path.Join(firmwareDir, f.Name+".json") }

func (f *Firmware) read(h *host.Host) (firmwareState, error) {
	var s firmwareState
	data, err := h.FS.Read(f.file(), maxEdit)
	if errors.Is(err, host.ErrNotFound) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return s, fmt.Errorf("reading where the firmware is (%s): %w", f.file(), err)
	}
	return s, nil
}

func (f *Firmware) keep(ctx context.Context, h *host.Host, s firmwareState) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return h.FS.Write(ctx, f.file(), bytes.NewReader(append(data, '\n')), host.WriteOptions{Attr: defaultMode(host.Attr{}, 0o600)})
}

// hook runs a program of the device; one that is not declared says yes.
func (f *Firmware) hook(ctx context.Context, h *host.Host, what string, argv resource.Argv, version, image string) error {
	if len(argv) == 0 {
		return nil
	}
	words := make([]string, len(argv))
	for i, w := range argv {
		words[i] = strings.ReplaceAll(w, "{}", image)
	}
	if err := runCommand(ctx, h, host.Command{Argv: words, Env: []string{"VIGO_FIRMWARE_VERSION=" + version}}); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// install checks, fetches and applies the image.
func (f *Firmware) install(ctx context.Context, h *host.Host, s firmwareState, boot string) error {
	if err := f.hook(ctx, h, "precheck", f.Precheck, f.Version, ""); err != nil {
		return err
	}
	private := fs.FileMode(0o700)
	if err := h.FS.MakeDir(ctx, firmwareDir, host.Attr{Mode: &private}); err != nil {
		return err
	}
	image := path.Join(firmwareDir, f.Name+".image")
	d := &Download{Path: image, URL: f.URL, SHA256: f.SHA256, Headers: f.Headers, MaxSize: f.MaxSize, Mode: &resource.Mode{Perm: 0o600}}
	fetch, err := d.Plan(ctx, h)
	if err == nil {
		_, err = fetch.Apply(ctx)
	}
	if err != nil {
		return fmt.Errorf("fetching firmware %s: %w", f.Version, err)
	}
	most := 3
	if f.Attempts != nil {
		most = *f.Attempts
	}
	if s.Tried == nil {
		s.Tried = map[string]int{}
	}
	s.Tried[f.SHA256]++ // before: one that brings the device down counts too
	if s.Tried[f.SHA256] > most {
		return f.reject(ctx, h, s, f.SHA256, fmt.Sprintf("it could not be applied %d times", most))
	}
	s.Applied = firmwareImage{Digest: f.SHA256, Version: f.Version, Boot: boot, Unfinished: true}
	if err := f.keep(ctx, h, s); err != nil {
		return err
	}
	if err := f.hook(ctx, h, "apply", f.Apply, f.Version, image); err != nil {
		return err // it stays unfinished: how much of it was done is not known
	}
	s.Applied.Unfinished = false
	if err := f.keep(ctx, h, s); err != nil {
		return err
	}
	if err := h.FS.Remove(ctx, image, false); err != nil {
		return err
	}
	return askReboot(ctx, h, "firmware "+f.Version)
}

// askReboot does as packages do whose update needs a reboot.
func askReboot(ctx context.Context, h *host.Host, why string) error {
	const sign = "/run/reboot-required"
	old, err := h.FS.Read(sign+".pkgs", maxEdit)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return err
	}
	for _, f := range []struct{ name, text string }{
		{sign + ".pkgs", string(old) + strings.ReplaceAll(why, " ", "-") + "\n"}, {sign, "*** System restart required ***\n"},
	} {
		if err := h.FS.Write(ctx, f.name, strings.NewReader(f.text), host.WriteOptions{}); err != nil {
			return fmt.Errorf("asking for a reboot: %w", err)
		}
	}
	return nil
}

// takeBack has the device stay with what it runs.
func (f *Firmware) takeBack(ctx context.Context, h *host.Host, s firmwareState) error {
	if err := f.hook(ctx, h, "rollback", f.Rollback, s.Applied.Version, ""); err != nil {
		return err
	}
	s.Applied = firmwareImage{}
	return f.keep(ctx, h, s)
}

// trial commits the new system, or rolls it back.
func (f *Firmware) trial(ctx context.Context, h *host.Host, s firmwareState) error {
	on := s.Applied
	if err := f.hook(ctx, h, "verify", f.Verify, on.Version, ""); err != nil {
		if on.Unfinished {
			s.Applied = firmwareImage{}
			return errors.Join(fmt.Errorf("the device went down while firmware %s was applied; the next run applies it again", on.Version), f.keep(ctx, h, s))
		}
		return f.giveUp(ctx, h, s, false, fmt.Sprintf("the device does not run it: %v", err))
	}
	now, deadline := h.Clock.Now(), 15*time.Minute
	if f.Deadline != nil {
		deadline = f.Deadline.Duration
	}
	if on.Trial.IsZero() {
		s.Applied.Trial = now
		if err := f.keep(ctx, h, s); err != nil {
			return err
		}
	}
	if err := f.hook(ctx, h, "health", f.Health, on.Version, ""); err != nil {
		if left := s.Applied.Trial.Add(deadline).Sub(now); left > 0 {
			return fault.WithHint(fmt.Errorf("firmware %s is on trial: %w", on.Version, err), fmt.Sprintf("it is rolled back in %s", left.Round(time.Second)))
		}
		return f.giveUp(ctx, h, s, true, fmt.Sprintf("it did not work for %s: %v", deadline, err))
	}
	if err := f.hook(ctx, h, "commit", f.Commit, on.Version, ""); err != nil {
		return err
	}
	s.Committed, s.Applied, s.Tried = firmwareImage{Digest: on.Digest, Version: on.Version}, firmwareImage{}, nil
	return f.keep(ctx, h, s)
}

// giveUp rolls back what is on trial. The device must be booted again if it runs that.
func (f *Firmware) giveUp(ctx context.Context, h *host.Host, s firmwareState, runs bool, why string) error {
	if err := f.hook(ctx, h, "rollback", f.Rollback, s.Applied.Version, ""); err != nil {
		return errors.Join(errors.New(why), err)
	}
	if runs {
		if err := askReboot(ctx, h, "rollback of firmware "+s.Applied.Version); err != nil {
			return err
		}
	}
	digest := s.Applied.Digest
	s.Applied = firmwareImage{}
	return f.reject(ctx, h, s, digest, why)
}

// reject remembers that an image is not tried again, and says why.
func (f *Firmware) reject(ctx context.Context, h *host.Host, s firmwareState, digest, why string) error {
	if s.Rejected == nil {
		s.Rejected = map[string]string{}
	}
	s.Rejected[digest] = why
	delete(s.Tried, digest)
	if err := f.keep(ctx, h, s); err != nil {
		return err
	}
	return fmt.Errorf("the firmware is given up: %s", why)
}
