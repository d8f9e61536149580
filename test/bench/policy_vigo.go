package main

import (
	"fmt"
	"strings"
)

// perModule is how many files one module declares: a document of a policy is at most 1 MiB.
const perModule = 1000

// vigoPolicy writes a workload as a policy repository: a module for packages, users and directories, and one for each
// thousand files.
func vigoPolicy(w workload) map[string]string {
	docs := map[string]string{"fleet.yaml": "kind: Fleet\nname: bench\ninterval: 30s\nchannels: {stable: {}}\n"}
	var base strings.Builder
	base.WriteString("kind: Module\nresources:\n")
	for _, dir := range w.dirs {
		fmt.Fprintf(&base, "  - directory: %s\n    mode: \"0755\"\n    owner: %s\n    group: %s\n", dir, w.owner, w.group)
	}
	for _, name := range w.packages {
		fmt.Fprintf(&base, "  - package: %s\n", name)
	}
	for _, u := range w.users {
		fmt.Fprintf(&base, "  - user: %s\n    uid: %s\n    home: %s\n    shell: %s\n", u.name, u.uid, u.home, u.shell)
	}
	docs["modules/base/module.yaml"] = base.String()
	role := "kind: Role\nmodules:\n  - base\n"
	for i := 0; i < len(w.files); i += perModule {
		name := fmt.Sprintf("files%02d", i/perModule)
		role += "  - " + name + "\n"
		docs["modules/"+name+"/module.yaml"] = vigoFiles(w, w.files[i:min(len(w.files), i+perModule)])
	}
	docs["roles/all.yaml"] = role
	return docs
}

func vigoFiles(w workload, files []file) string {
	var b strings.Builder
	b.WriteString("kind: Module\nresources:\n")
	for _, f := range files {
		fmt.Fprintf(&b, "  - file: %s\n    mode: \"0644\"\n    owner: %s\n    group: %s\n    content: |\n%s", f.path, w.owner, w.group, indent(f.content, 6))
	}
	return b.String()
}

func indent(text string, by int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.Repeat(" ", by) + line)
	}
	return b.String()
}
