//go:build linux

package fleet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// sources says where this computer gets Debian packages from.
type sources struct {
	mirror  string   // for debootstrap
	list    string   // the text of a sources.list
	proxies []string // environment, as apt is configured
}

// findSources asks apt how it is configured here, so that any format of its files, a proxy and credentials are heeded.
func findSources(ctx context.Context, suite string) (sources, error) {
	var src sources
	if mirror := os.Getenv(EnvMirror); mirror != "" {
		src.add(mirror, suite, suite)
	} else {
		out, err := output(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
		if err != nil {
			return src, fmt.Errorf("asking apt for its sources: %w", err)
		}
		for line := range strings.Lines(out) {
			f := strings.Fields(line)
			if len(f) == 3 && (f[1] == suite || strings.HasPrefix(f[1], suite+"-")) && f[2] == "main" {
				src.add(f[0], f[1], suite)
			}
		}
	}
	if src.mirror == "" {
		return src, fmt.Errorf("apt has no source for Debian %s here: set %s", suite, EnvMirror)
	}
	for _, scheme := range []string{"http", "https"} {
		out, err := output(ctx, "apt-config", "dump", "--format", "%v%n", "Acquire::"+scheme+"::Proxy")
		if err != nil {
			return src, fmt.Errorf("asking apt for its proxy: %w", err)
		}
		if proxy := strings.TrimSpace(out); proxy != "" && proxy != "DIRECT" {
			src.proxies = append(src.proxies, scheme+"_proxy="+proxy)
		}
	}
	return src, nil
}

// add takes one source in.
func (s *sources) add(uri, release, suite string) {
	if release == suite && s.mirror == "" {
		s.mirror = uri
	}
	s.list += fmt.Sprintf("deb [signed-by=%s] %s %s main\n", keyring, uri, release)
}

// fillRepository downloads the packages of the recipe, with all they need that the image lacks, into the local
// repository of the image.
func (r recipe) fillRepository(ctx context.Context, src sources, root, scratch string) error {
	repo := filepath.Join(root, "srv/apt")
	if err := os.MkdirAll(repo, 0o755); err != nil {
		return fmt.Errorf("making the repository: %w", err)
	}
	debs, err := r.download(ctx, src, root, scratch)
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if err := os.Rename(deb, filepath.Join(repo, filepath.Base(deb))); err != nil {
			return fmt.Errorf("filling the repository: %w", err)
		}
	}
	for _, version := range r.Demo {
		if err := buildDemo(ctx, scratch, repo, version); err != nil {
			return err
		}
	}
	return indexRepository(ctx, repo)
}

// download gets the packages of the recipe, with all they need that the image lacks. apt runs on this computer, with its
// configuration, and looks at the package database of the image.
func (r recipe) download(ctx context.Context, src sources, root, scratch string) ([]string, error) {
	for _, dir := range []string{filepath.Join(scratch, "lists/partial"), filepath.Join(scratch, "debs/partial")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("downloading packages: %w", err)
		}
	}
	list := filepath.Join(scratch, "sources.list")
	if err := os.WriteFile(list, []byte(src.list), 0o644); err != nil {
		return nil, fmt.Errorf("downloading packages: %w", err)
	}
	options := []string{
		"-qq", "-o", "Dir::State::status=" + filepath.Join(root, "var/lib/dpkg/status"),
		"-o", "Dir::State::lists=" + filepath.Join(scratch, "lists"),
		"-o", "Dir::Cache::archives=" + filepath.Join(scratch, "debs"),
		"-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=",
		"-o", "Dir::Etc::sourcelist=" + list, "-o", "Dir::Etc::sourceparts=/dev/null", "-o", "Dir::Etc::preferencesparts=/dev/null",
		"-o", "APT::Sandbox::User=root", "-o", "APT::Install-Recommends=false", "-o", "Acquire::Languages=none",
	}
	if err := run(build(ctx, "apt-get", append(options, "update")...)); err != nil {
		return nil, fmt.Errorf("reading the package lists: %w", err)
	}
	install := append(options, "install", "--yes", "--download-only", "--reinstall")
	if err := run(build(ctx, "apt-get", append(install, r.Repo...)...)); err != nil {
		return nil, fmt.Errorf("downloading packages: %w", err)
	}
	return filepath.Glob(filepath.Join(scratch, "debs", "*.deb"))
}

// demoControl describes the package fleet-demo: a configuration file and a version, to test upgrades and pins with.
const demoControl = `Package: fleet-demo
Version: %[1]s
Architecture: all
Maintainer: Vigo <fleet@vigo.dev>
Description: package to test with, version %[1]s
`

// buildDemo makes one version of fleet-demo.
func buildDemo(ctx context.Context, scratch, repo, version string) error {
	tree := filepath.Join(scratch, "demo-"+version)
	for path, text := range map[string]string{
		"DEBIAN/control":               fmt.Sprintf(demoControl, version),
		"DEBIAN/conffiles":             "/etc/fleet-demo.conf\n",
		"etc/fleet-demo.conf":          "# as packaged\ngreeting = hello\n",
		"usr/share/fleet-demo/version": version + "\n",
	} {
		path = filepath.Join(tree, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("building fleet-demo: %w", err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("building fleet-demo: %w", err)
		}
	}
	if err := run(build(ctx, "dpkg-deb", "--root-owner-group", "--build", tree, repo)); err != nil {
		return fmt.Errorf("building fleet-demo: %w", err)
	}
	return nil
}

// indexRepository writes the index of a flat repository. Every version is listed.
func indexRepository(ctx context.Context, repo string) error {
	cmd := build(ctx, "dpkg-scanpackages", "--multiversion", ".")
	cmd.Dir = repo
	index, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("indexing the repository: %w", err)
	}
	if err := os.WriteFile(filepath.Join(repo, "Packages"), index, 0o644); err != nil {
		return fmt.Errorf("indexing the repository: %w", err)
	}
	return nil
}

// output runs a program that changes nothing and returns what it prints.
func output(ctx context.Context, name string, args ...string) (string, error) {
	path, err := lookTool(name)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, path, args...).Output()
	return string(out), err
}
