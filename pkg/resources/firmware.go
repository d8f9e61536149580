package resources

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Firmware is the whole system of a device that has two places for it: an image by digest is put into the one that does not run, the
// device boots into it on trial, and it is committed when it works, or rolled back. What is particular to the device is said by
// programs: those of RAUC, SWUpdate, Mender or the site's own. A program that ends with another status than 0 says no.
//
// One run checks, fetches and applies, and asks for a reboot by /run/reboot-required, which a reboot resource with a window carries
// out. The first run after that is the trial. An image that was rolled back, or could not be applied, is not tried again until the
// declaration names another one. Where the device is in all this is kept in /var/lib/vigo-firmware, which both systems must share; a
// power cut loses nothing of it. That the old system boots when the new one does not is the work of the boot loader. While nothing is
// to be done no program runs.
//
//	resources:
//	  - firmware: system
//	    version: "7"
//	    url: https://updates.example.com/board-7.raucb
//	    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	    apply: rauc install {}
//	    verify: /usr/lib/board/booted-new-slot
//	    health: [/usr/lib/board/healthy]
//	    commit: rauc status mark-good
//	    rollback: rauc status mark-bad
//	    window: nightly
//	  - reboot: for the firmware
//	    window: nightly
type Firmware struct {
	// Name of what is updated: letters, digits, ".", "-" and "_".
	Name string `vigo:"identity"`

	// Version of the image, for people.
	Version string `yaml:"version" vigo:"required"`

	// URL of the image, http or https.
	URL string `yaml:"url" vigo:"required"`

	// SHA256 is the digest of the image: 64 hexadecimal digits in lower case.
	SHA256 string `yaml:"sha256" vigo:"required"`

	// Headers are sent with the request, such as Authorization.
	Headers map[string]string `yaml:"headers" vigo:"secret"`

	// MaxSize is the most bytes to fetch; 1 GiB if it is not given.
	MaxSize int64 `yaml:"max_size"`

	// Precheck says whether the device may be updated now: fit for the image, on mains power. Another run tries again.
	Precheck resource.Argv `yaml:"precheck"`

	// Apply puts the image into the place that does not run, and has the next boot try it; {} stands for the path of the image.
	Apply resource.Argv `yaml:"apply" vigo:"required"`

	// Verify says whether the device runs the new system. Without it running, it is rolled back at once.
	Verify resource.Argv `yaml:"verify" vigo:"required"`

	// Health says whether the new system works. It is asked again by each run until Deadline.
	Health resource.Argv `yaml:"health"`

	// Deadline is how long after the first run of the new system Health may say no; 15m if it is not given. Then it is rolled back.
	Deadline *resource.Duration `yaml:"deadline"`

	// Commit keeps the new system.
	Commit resource.Argv `yaml:"commit" vigo:"required"`

	// Rollback has the next boot take the old system.
	Rollback resource.Argv `yaml:"rollback" vigo:"required"`

	// Attempts are how often an image is applied that cannot be; 3 if it is not given.
	Attempts *int `yaml:"attempts"`
}

var _ resource.Validator = (*Firmware)(nil)

// Validate implements [resource.Validator].
func (f *Firmware) Validate() error {
	if err := checkWord("firmware", f.Name); err != nil {
		return err
	}
	if u, err := url.Parse(f.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("url: want an http or https URL")
	}
	switch {
	case !downloadDigest.MatchString(f.SHA256):
		return errors.New("sha256: want 64 hexadecimal digits in lower case")
	case f.MaxSize < 0:
		return errors.New("max_size: want a number of bytes")
	case !strings.Contains(strings.Join(f.Apply, " "), "{}"):
		return fault.WithHint(errors.New("apply: the program is not told where the image is"), "write {} for its path")
	case f.Attempts != nil && *f.Attempts < 1:
		return errors.New("attempts: want at least 1")
	}
	return nil
}

// Plan implements [resource.Resource].
func (f *Firmware) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	s, err := f.read(h)
	if err != nil {
		return p, err
	}
	boot, err := bootID(h)
	if err != nil {
		return p, err
	}
	applied := s.Applied.Digest != ""
	waits := applied && s.Applied.Boot == boot
	switch {
	case applied && !waits: // whatever is declared now: the device is on trial
		p.Do(func(ctx context.Context) error { return f.trial(ctx, h, s) },
			change.Of("firmware", s.Applied.Version+" on trial", s.Applied.Version+" committed"))
	case waits && !s.Applied.Unfinished && s.Applied.Digest == f.SHA256, !waits && s.Committed.Digest == f.SHA256:
	case waits && s.Committed.Digest == f.SHA256:
		p.Do(func(ctx context.Context) error { return f.takeBack(ctx, h, s) },
			change.Of("firmware", s.Applied.Version+" waits for a reboot", f.Version))
	case s.Rejected[f.SHA256] != "":
		err := fmt.Errorf("firmware %s was given up: %s", f.Version, s.Rejected[f.SHA256])
		return p, fault.WithHint(err, "declare another image; "+f.file()+" remembers this one")
	default:
		p.Do(func(ctx context.Context) error { return f.install(ctx, h, s, boot) },
			change.Of("firmware", orWord(s.Committed.Version, "unknown"), f.Version+" waits for a reboot"))
	}
	return p, nil
}

// bootID names the present boot of the machine.
func bootID(h *host.Host) (string, error) {
	id, err := h.FS.Read("/proc/sys/kernel/random/boot_id", 1<<10)
	if err != nil {
		return "", fmt.Errorf("reading which boot this is: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}
