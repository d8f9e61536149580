package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// puppetManifest writes a workload in the language of Puppet.
func puppetManifest(w workload) string {
	var b strings.Builder
	for _, dir := range w.dirs {
		fmt.Fprintf(&b, "file { '%s': ensure => directory, owner => '%s', group => '%s', mode => '0755' }\n", dir, w.owner, w.group)
	}
	for _, f := range w.files {
		fmt.Fprintf(&b, "file { '%s': ensure => file, owner => '%s', group => '%s', mode => '0644', content => '%s' }\n", f.path, w.owner, w.group, f.content)
	}
	for _, p := range w.packages {
		fmt.Fprintf(&b, "package { '%s': ensure => installed }\n", p)
	}
	for _, u := range w.users {
		fmt.Fprintf(&b, "user { '%s': ensure => present, uid => '%s', home => '%s', shell => '%s' }\n", u.name, u.uid, u.home, u.shell)
	}
	return b.String()
}

// cfenginePackages looks for packages in dpkg's list alone: the method of the standard library fetches package lists from
// the network first, and the newer package modules are not there before a policy server has sent them.
const cfenginePackages = `body package_method bench
{
  package_changes => "individual";
  package_list_command => "/usr/bin/dpkg -l";
  package_list_name_regex => "ii\s+([^\s:]+).*";
  package_list_version_regex => "ii\s+[^\s]+\s+([^\s]+).*";
  package_installed_regex => "ii.*";
  package_name_convention => "$(name)";
  package_add_command => "/bin/false";
}
`

// cfenginePolicy writes a workload in the language of CFEngine.
func cfenginePolicy(w workload) string {
	var b strings.Builder
	b.WriteString(cfenginePackages)
	b.WriteString("body common control\n{\n  bundlesequence => { \"bench\" };\n")
	b.WriteString("}\nbody perms bench(m)\n{\n")
	fmt.Fprintf(&b, "  mode => \"$(m)\";\n  owners => { %q };\n  groups => { %q };\n  rxdirs => \"false\";\n}\n", w.owner, w.group)
	b.WriteString("body edit_defaults bench\n{\n  empty_file_before_editing => \"true\";\n  edit_backup => \"false\";\n}\n")
	b.WriteString("bundle agent bench\n{\nfiles:\n")
	for _, dir := range w.dirs {
		fmt.Fprintf(&b, "  \"%s/.\" create => \"true\", perms => bench(\"0755\");\n", dir)
	}
	for _, f := range w.files {
		fmt.Fprintf(&b, "  %q create => \"true\", perms => bench(\"0644\"), edit_defaults => bench, edit_template_string => \"%s\", template_method => \"inline_mustache\";\n",
			f.path, f.content)
	}
	if len(w.packages) > 0 {
		b.WriteString("packages:\n")
	}
	for _, p := range w.packages {
		fmt.Fprintf(&b, "  %q package_policy => \"add\", package_method => bench;\n", p)
	}
	if len(w.users) > 0 {
		b.WriteString("users:\n")
	}
	for _, u := range w.users {
		fmt.Fprintf(&b, "  %q policy => \"present\", uid => %q, home_dir => %q, shell => %q;\n", u.name, u.uid, u.home, u.shell)
	}
	b.WriteString("}\n")
	return b.String()
}

// ansiblePlaybook writes a workload as a playbook with one task a kind, which loops. YAML is a superset of JSON.
func ansiblePlaybook(w workload) (string, error) {
	type obj = map[string]any
	var dirs, files, users []any
	for _, dir := range w.dirs {
		dirs = append(dirs, dir)
	}
	for _, f := range w.files {
		files = append(files, obj{"path": f.path, "content": f.content})
	}
	for _, u := range w.users {
		users = append(users, obj{"name": u.name, "uid": u.uid, "home": u.home, "shell": u.shell})
	}
	var tasks []any
	task := func(module string, args obj, loop []any) {
		if len(loop) > 0 {
			tasks = append(tasks, obj{"name": module, module: args, "loop": loop, "loop_control": obj{"label": ""}})
		}
	}
	task("file", obj{"path": "{{ item }}", "state": "directory", "owner": w.owner, "group": w.group, "mode": "0755"}, dirs)
	task("copy", obj{"dest": "{{ item.path }}", "content": "{{ item.content }}", "owner": w.owner, "group": w.group, "mode": "0644"}, files)
	if len(w.packages) > 0 {
		tasks = append(tasks, obj{"name": "apt", "apt": obj{"name": w.packages, "state": "present"}})
	}
	// Homes are not asked of anybody: many system users have one that is not there.
	task("user", obj{"name": "{{ item.name }}", "uid": "{{ item.uid }}", "home": "{{ item.home }}", "shell": "{{ item.shell }}", "create_home": false}, users)
	data, err := json.MarshalIndent([]any{obj{"hosts": "localhost", "connection": "local", "gather_facts": false, "tasks": tasks}}, "", " ")
	return string(data), err
}
