package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// folders is how many directories the files of a workload are in.
const folders = 17

// mixed measures a run with nothing to do over a small machine's policy: 17 directories, 200 files, 20 packages and 10
// users of this machine.
func (b *bench) mixed(ctx context.Context) error {
	w, err := newWorkload("mixed", b.path("mixed"), folders, 200)
	if err != nil {
		return err
	}
	if err := errors.Join(w.addInstalled("/var/lib/dpkg/status", 20), w.addUsers("/etc/passwd", 10)); err != nil {
		return err
	}
	section := fmt.Sprintf("No-op run, %d resources: 17 directories, 200 files, 20 installed packages, 10 existing users", w.resources())
	bundle, folder, err := b.prepare(ctx, w)
	if err != nil {
		return err
	}
	all, err := measure(ctx, b.runs, bundle, folder)
	if err != nil {
		return err
	}
	b.ours(section, all[0], all[1], 0.10, 0)
	return b.besides(ctx, section, w, all[0])
}

// manyFiles measures a run with nothing to do over 10,000 files, beside sha256sum of the same files.
func (b *bench) manyFiles(ctx context.Context) error {
	w, err := newWorkload("files", b.path("files"), folders, 10_000)
	if err != nil {
		return err
	}
	section := "No-op run, 10,000 files of 350 bytes (and their directories)"
	bundle, folder, err := b.prepare(ctx, w)
	if err != nil {
		return err
	}
	sums, err := b.sha256sum(w)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	all, err := measure(ctx, b.runs, bundle, folder, sums, command{argv: []string{self, bareCommand, b.path("files.list")}})
	if err != nil {
		return err
	}
	_, limit := all[2].wall()
	_, cpu := all[2].cpu()
	b.ours(section, all[0], all[1], 0, limit.Seconds())
	b.found.add(figure{Section: section, What: "wall time", Who: "sha256sum", Value: limit.Seconds(), Unit: "s",
		Note: fmt.Sprintf("the limit: reads the same files once; CPU %.2f s", cpu.Seconds())})
	_, least := all[3].wall()
	_, cpu = all[3].cpu()
	b.found.add(figure{Section: section, What: "wall time", Who: "looking alone", Value: least.Seconds(), Unit: "s",
		Note: fmt.Sprintf("status, content and digest of each file in Go on as many CPUs as a run, with the start of the program; CPU %.2f s", cpu.Seconds())})
	return b.besides(ctx, section, w, all[0])
}

// ours adds our own figures: against a wall time in seconds, or against a limit of which it may be twice.
func (b *bench) ours(section string, bundle, folder series, wall, limit float64) {
	least, median := bundle.wall()
	_, cpu := bundle.cpu()
	f := figure{Section: section, What: "wall time", Who: "vigo", Value: median.Seconds(), Unit: "s",
		Note: fmt.Sprintf("whole process, bundle from an OCI layout; least %.3f s, median of %d", least.Seconds(), len(bundle))}
	if wall > 0 {
		f = atMost(f, wall)
	} else {
		f = ratioAtMost(f, limit, 2)
	}
	b.found.add(f, figure{Section: section, What: "CPU time", Who: "vigo", Value: cpu.Seconds(), Unit: "s"},
		atMost(figure{Section: section, What: "peak memory", Who: "vigo", Value: float64(bundle.rss()) / 1e6, Unit: "MB",
			Note: "28 MB would be that of the bench, which starts it"}, 40))
	_, fromFolder := folder.wall()
	b.found.add(figure{Section: section, What: "wall time", Who: "vigo, from a folder", Value: fromFolder.Seconds(), Unit: "s",
		Ratio: fromFolder.Seconds() / median.Seconds(), Note: "reads and checks the YAML first; agents load what the controller compiled"})
}

// prepare writes a workload to disk and its policy as folder and as bundle, makes sure by a dry run that this machine is
// in line, converges once, and returns the commands to measure.
func (b *bench) prepare(ctx context.Context, w workload) (bundle, folder command, err error) {
	if err := w.write(); err != nil {
		return bundle, folder, err
	}
	dir, layout := b.path("policy", w.name), b.path("layout-"+w.name)
	if err := writeAll(dir, vigoPolicy(w)); err != nil {
		return bundle, folder, err
	}
	if err := gitCommit(ctx, dir, "bench"); err != nil {
		return bundle, folder, err
	}
	if _, _, err := (command{argv: []string{b.vigo(), "build", dir, "-o", "oci-layout:" + layout}}).once(ctx); err != nil {
		return bundle, folder, err
	}
	tag, err := onlyTag(layout + "/index.json")
	if err != nil {
		return bundle, folder, err
	}
	all := func(output string, code int) error {
		if want := fmt.Sprintf("%d resources: %[1]d ok,", w.resources()); code != 0 || !strings.Contains(output, want) {
			return fmt.Errorf("it ended with %d and does not say %q", code, want)
		}
		return nil
	}
	apply := func(state string, more ...string) command {
		return command{argv: append([]string{b.agent(), "apply", "--state", b.path(state + w.name)}, more...), check: all}
	}
	bundle = apply("state-", "--policy", "oci-layout:"+layout+":"+tag)
	folder = apply("state-", "--policy", dir)
	dry := apply("dry-", "--policy", "oci-layout:"+layout+":"+tag, "--dry-run")
	if _, _, err := dry.once(ctx); err != nil {
		return bundle, folder, fmt.Errorf("this machine is not in line with the policy of the bench, so nothing was applied: %w", err)
	}
	_, _, err = bundle.once(ctx)
	return bundle, folder, err
}

// onlyTag is the tag of the one manifest of a layout.
func onlyTag(index string) (string, error) {
	data, err := os.ReadFile(index)
	if err != nil {
		return "", err
	}
	var doc struct {
		Manifests []struct{ Annotations map[string]string }
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return "", err
	}
	for _, m := range doc.Manifests {
		if tag := m.Annotations["org.opencontainers.image.ref.name"]; tag != "" {
			return tag, nil
		}
	}
	return "", fmt.Errorf("%s names no tag", index)
}

// sha256sum is the least that can be done to know the content of files.
func (b *bench) sha256sum(w workload) (command, error) {
	var list strings.Builder
	for _, f := range w.files {
		list.WriteString(f.path + "\n")
	}
	path := b.path("files.list")
	return command{argv: []string{"xargs", "-a", path, "-n", "100000", "sha256sum"}}, os.WriteFile(path, []byte(list.String()), 0o600)
}
