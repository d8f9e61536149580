package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/up"
)

const modules = 1000

// publish measures the way of a commit: pushed to a bare repository, a nudge by the webhook, until the registry serves
// the pointer that names its bundle.
func (b *bench) publish(ctx context.Context) (err error) {
	const section = "git commit → signed pointer served, repository of 1,000 modules and 3,000 resources"
	work, bare := b.path("modules"), b.path("modules.git")
	if err := errors.Join(writeAll(work, manyModules()), gitCommit(ctx, work, "first")); err != nil {
		return err
	}
	for _, c := range []command{
		{argv: []string{"git", "clone", "-q", "--bare", work, bare}},
		git(work, "remote", "add", "origin", bare),
	} {
		if _, _, err := c.once(ctx); err != nil {
			return err
		}
	}
	const hook = "nudge-of-the-bench"
	secret := b.path("hook-token")
	if err := os.WriteFile(secret, []byte(hook), 0o600); err != nil {
		return err
	}
	s, err := b.up(ctx, "publish-up", bare, "--poll", "1h", "--hook-token-file", secret, "--registry-pull", "anyone")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(s.explain(err), s.stop()) }()
	roots, _, err := s.authority()
	if err != nil {
		return err
	}
	registry, err := ocistore.Open(ctx, s.address+"/"+up.Repository, ocistore.Options{CAs: roots})
	if err != nil {
		return err
	}
	nudge := func() error { return post(ctx, roots, "https://"+s.address+"/hooks/nudge", hook) }
	var took []time.Duration
	for i := range min(b.runs, 5) + 1 {
		d, err := s.publishOne(ctx, registry, work, i, nudge)
		if err != nil {
			return err
		}
		if i > 0 { // the first fills caches
			took = append(took, d)
		}
	}
	slices.Sort(took)
	b.found.add(atMost(figure{Section: section, What: "time", Who: "vigo up", Value: took[len(took)/2].Seconds(), Unit: "s",
		Note: fmt.Sprintf("from the end of git push, one module changed; least %.3f s, median of %d", took[0].Seconds(), len(took))}, 1))
	return nil
}

// publishOne changes a module, pushes and waits for the pointer.
func (s *service) publishOne(ctx context.Context, registry bundle.Source, work string, i int, nudge func() error) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tag, _ := bundle.Pointer{Channel: "stable"}.Tags()
	before, err := registry.Resolve(ctx, tag)
	if err != nil {
		return 0, err
	}
	file := filepath.Join(work, "modules", fmt.Sprintf("m%04d", 7+i), "files", "motd")
	if err := os.WriteFile(file, fmt.Appendf(nil, "changed %d\n", i), 0o644); err != nil {
		return 0, err
	}
	if err := gitCommit(ctx, work, "change"); err != nil {
		return 0, err
	}
	if _, _, err := git(work, "push", "-q", "origin", "main").once(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := nudge(); err != nil {
		return 0, err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := registry.Resolve(ctx, tag)
		if err != nil {
			return 0, err
		}
		if now.Digest != before.Digest {
			break
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("waiting for the pointer: %w", ctx.Err())
		case <-tick.C:
		}
	}
	took := time.Since(began)
	_, head, err := git(work, "rev-parse", "HEAD").once(ctx)
	if err != nil {
		return 0, err
	}
	return took, s.await(ctx, 10*time.Second, func(st status) bool { return st.commit() == strings.TrimSpace(head) })
}

// manyModules is a repository with a package, a file and a service in each module.
func manyModules() map[string]string {
	docs := map[string]string{"fleet.yaml": "kind: Fleet\nname: bench\nchannels: {stable: {}}\n", "roles/all.yaml": "kind: Role\nmodules: [m0000, m0001]\n"}
	for i := range modules {
		dir := fmt.Sprintf("modules/m%04d/", i)
		docs[dir+"module.yaml"] = fmt.Sprintf(`kind: Module
about: Module number %[1]d.
params:
  port: {type: int, default: %[1]d, min: 1, max: 65535}
resources:
  - package: thing%[1]d
  - file: /etc/thing%[1]d/thing.conf
    template: thing.conf.tmpl
    mode: "0644"
    requires: [package:thing%[1]d]
    notify: [service:thing%[1]d]
  - service: thing%[1]d
    running: true
    enabled: true
`, i+1)
		docs[dir+"templates/thing.conf.tmpl"] = fmt.Sprintf("# thing %d\nport = {{ .param.port }}\n", i+1)
		docs[dir+"files/motd"] = fmt.Sprintf("hello from %d\n", i)
	}
	return docs
}
