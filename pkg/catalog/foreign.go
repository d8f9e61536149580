package catalog

import (
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// foreignTypes are what Puppet, Ansible, Salt and CFEngine call what a type of this language is; docs/moving-in.md has them all.
func foreignTypes() map[string]string {
	return map[string]string{
		"apt": "package", "dnf": "package", "yum": "package", "pkg": "package", "packages": "package",
		"apt_repository": "repository", "deb822_repository": "repository", "apt::source": "repository", "yumrepo": "yum_repository",
		"copy": "file", "template": "file", "files": "file", "synchronize": "directory", "unarchive": "archive", "get_url": "download",
		"lineinfile": "line", "file_line": "line", "blockinfile": "block", "ini_file": "ini", "ini_setting": "ini", "concat": "file",
		"systemd": "service", "systemd_service": "service", "services": "service", "command": "exec", "shell": "exec", "cmd": "exec",
		"ssh_authorized_key": "authorized_key", "ssh_auth": "authorized_key", "sshkey": "ssh_known_host", "known_hosts": "ssh_known_host",
		"sudo::conf": "sudo_rule", "sudoers": "sudo_rule", "host": "host_entry", "hosts": "host_entry", "kmod": "kernel_module", "modprobe": "kernel_module",
		"iptables": "firewall_rule", "nftables": "firewall_policy", "ufw": "firewall_rule", "firewall": "firewall_rule", "firewalld": "firewall_rule",
		"pam_limits": "login_limits", "seboolean": "selinux_boolean", "docker_container": "container", "k8s": "kubernetes_manifest",
	}
}

// nearType is the hint for a type that does not exist.
func nearType(name string, kinds []string) string {
	if name == "name" || name == "hosts" || name == "tasks" {
		return "a resource begins with its type and what it is called: - package: nginx"
	}
	if here := foreignTypes()[name]; slices.Contains(kinds, here) {
		return fmt.Sprintf("here it is called %q", here)
	}
	return fault.DidYouMean(name, kinds)
}

// foreignKeys are what others call attributes.
func foreignKeys() map[string]string {
	return map[string]string{
		"state": "ensure", "src": "source", "contents": "content", "validate_cmd": "validate", "loop": "foreach", "with_items": "foreach",
		"become_user": "user", "runas": "user", "cmd": "command", "argv": "command", "job": "command", "chdir": "cwd", "environment": "env", "tries": "retries",
		"noop": "audit", "check_mode": "audit", "onlyif": "only_if", "refreshonly": "refresh_only", "managehome": "manage_home", "create_home": "manage_home",
		"gecos": "comment", "regexp": "match", "insertafter": "insert_after", "insertbefore": "insert_before", "fstype": "type", "opts": "options",
		"repo": "url", "version": "revision", "checksum": "sha256", "require": "requires", "on_changes": "subscribe", "listen_in": "notify", "watch": "subscribe",
	}
}

// foreign is the hint for an attribute that is called otherwise elsewhere, or "": the language of whoever moves in.
func foreign(kind resource.Kind, d *policy.Declaration, key string) string {
	has := func(key string) bool {
		return slices.Contains(kind.Keys(), key) || slices.Contains(policy.MetaKeys(), key)
	}
	switch key {
	case "ensure", "state":
		if !has("running") {
			break
		}
		switch fmt.Sprint(d.Attrs[key]) {
		case "running", "started", "restarted", "reloaded":
			return "write running: true; a restart comes from what notifies it"
		case "stopped", "dead":
			return "write running: false"
		}
		return "write running: true or running: false"
	case "minute", "hour", "day", "monthday", "month", "weekday", "special_time":
		if has("schedule") {
			return `write schedule: "minute hour day month weekday"`
		}
	case "name", "title", "dest", "path":
		return fmt.Sprintf("what it is called stands behind its type: - %s: NAME", kind.Name)
	case "ignore_errors", "failed_when", "register", "become", "delegate_to", "provider", "loglevel":
		return "there is nothing like it: leave it out. Known keys: " + strings.Join(kind.Keys(), ", ")
	}
	if here := foreignKeys()[key]; here != "" && has(here) {
		return fmt.Sprintf("here it is called %q", here)
	}
	return ""
}
