package attack

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/attacks.md")

// TestList keeps docs/attacks.md what the suite does.
func TestList(t *testing.T) {
	t.Parallel()
	const path = "../../docs/attacks.md"
	want := list()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the suite does: run `make docs`", path)
	}
}

func list() []byte {
	var b bytes.Buffer
	content, requests, raw := contentAttacks(), requestAttacks(), rawAttacks()
	fmt.Fprintf(&b, `# What is refused

Each line is an attack that [test/attack](../test/attack) makes on the real programs, %d in all; this page is made from it. Each is
refused under the name in the last column, which does not change. Refused means: the host stays as it is, the last good policy is
enforced, the name is in `+"`vigo status`"+` (kind `+"`refused`"+` of a node, `+"`request`"+` for an hour at the service) and in an event
(`+"`node.refused`, `request.refused`; `vigo events --follow -o json`"+` wakes whoever is to be woken), and what is good is taken afterwards.

What those who hold all keys of the controller can do is told in [trust.md](trust.md): that is what thresholds, approvals and root keys
kept elsewhere are for.

## What nodes pull

| attack | who holds | does this | refused as |
|---|---|---|---|
`, len(content)+len(requests)+len(raw)+1)
	for _, a := range content {
		fmt.Fprintf(&b, "| %s | %s | %s | `%s` |\n", a.name, a.holds, a.does, a.want)
	}
	fmt.Fprintf(&b, "| every-byte | the wire, or the disk of the registry | changes one byte, at every position of all that belongs to a bundle | `digest` and others |\n")
	fmt.Fprintf(&b, "\n## What the report service is asked\n\n| attack | who holds | does this | refused as |\n|---|---|---|---|\n")
	for _, a := range requests {
		fmt.Fprintf(&b, "| %s | %s | %s | `%s` |\n", a.name, a.holds, a.does, a.want)
	}
	fmt.Fprintf(&b, `
Who may not do something is told so as `+"`forbidden`"+`; that is in the audit log (`+"`access.refused`"+`) and wakes nobody.

## What the listener is sent

Bytes over a connection of their own, of which two readers may think differently where the next request begins, or that are to cost the
service something. Each is answered once, with the status in the last column, and the connection ends: what follows is never taken for
a request. Who sends slowly is cut off after ten seconds of a header, and five minutes of a body.

| attack | does this | answer |
|---|---|---|
`)
	for _, a := range raw {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", a.name, a.does, a.want)
	}
	return b.Bytes()
}
