//go:build linux

package e2e

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

// TestReadme types the commands of the README's section "Install" on two machines as they stand there. What stands for
// something of one's own is put in: the address of the repository, and the token. The programs are built already.
func TestReadme(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	central, web := "vigo", "web-1"
	nodes := s.boot(t, central, web)
	blocks := shellBlocks(t, "../../README.md", "## Install")
	if len(blocks) != 2 {
		t.Fatalf("the section has %d blocks of commands, want one for the central machine and one for the nodes", len(blocks))
	}
	if typed := len(blocks[1]); typed > 5 || !strings.HasPrefix(blocks[1][typed-1], "vigo status") {
		t.Errorf("after `vigo up`, %d commands and the look at the status; five are promised together", typed-1)
	}
	for _, n := range nodes {
		n.CopyIn(t, s.vigoBin(), "/root/bin/vigo", 0o755)
		n.CopyIn(t, s.bin+"/vigo-agent", "/root/bin/vigo-agent", 0o755)
		n.shell(t, "echo "+nodes[0].Addr().String()+" vigo.example.com >>/etc/hosts")
	}
	server, node := nodes[0], nodes[1]
	s.run(t, "tar", "-C", s.path("policy"), "-cf", s.path("policy.tar"), ".")
	server.CopyIn(t, s.path("policy.tar"), "/root/policy.tar", 0o644)
	server.shell(t, "mkdir /srv/policy && tar -C /srv/policy --no-same-owner -xf /root/policy.tar")

	up := blocks[0][len(blocks[0])-1]
	for _, command := range blocks[0][:len(blocks[0])-1] {
		server.shell(t, "cd /root; make() { :; }; "+command)
	}
	// It stays in the foreground: the unit is what keeps it there.
	up = strings.Replace(up, "https://git.example.com/policy.git", "/srv/policy", 1)
	server.shell(t, "systemd-run --quiet --unit=vigo-up --property=StandardOutput=file:/root/said -- "+up)
	server.becomes(t, check{"grep -c 'vigo is up' /root/said", "1"})

	token := ""
	for _, command := range blocks[1] {
		on := node
		if strings.HasPrefix(command, "vigo ") {
			on = server
		}
		switch {
		case strings.HasPrefix(command, "vigo token"):
			token = on.shell(t, command)
		case strings.HasPrefix(command, "vigo status"):
			eventually(t, command, func(ctx context.Context) error {
				out, stderr, code, err := on.Exec(ctx, "sh", "-c", command)
				if err == nil && (code != 0 || !strings.Contains(out, "1/1 live") || !strings.Contains(out, "no problems")) {
					err = errors.New(out + stderr)
				}
				return err
			})
			t.Logf("%s\n%s", command, on.shell(t, command))
		default:
			on.shell(t, "cp -n /root/bin/vigo-agent /usr/local/bin/; "+strings.Replace(command, "TOKEN", token, 1))
		}
	}
	node.becomes(t, check{"systemctl is-enabled vigo-agent; systemctl is-active vigo-agent; cat /srv/www/index.html; systemctl is-active nginx",
		"enabled\nactive\n<h1>" + web + "</h1>\nactive"})
}

// shellBlocks returns the lines of the blocks of shell commands in a section of a Markdown file.
func shellBlocks(t *testing.T, path, heading string) (blocks [][]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n"+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, part := range strings.Split(section, "```sh\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```")
		blocks = append(blocks, strings.Split(block, "\n"))
	}
	return blocks
}
