package resources

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// maxSeccomp is the most bytes of a seccomp profile; that of Docker has 13 KB.
const maxSeccomp = 1 << 20

// securityOptions are those of the declaration as the engine takes them: of a seccomp profile in a file Docker wants the text, and
// Podman the path.
func (r *replacement) securityOptions(ctx context.Context) ([]string, error) {
	const inFile = "seccomp=/"
	if !slices.ContainsFunc(r.SecurityOptions, func(o string) bool { return strings.HasPrefix(o, inFile) }) {
		return r.SecurityOptions, nil
	}
	var is struct{ Components []struct{ Name string } }
	if err := r.e.get(ctx, "/version", nil, &is); err != nil {
		return nil, fmt.Errorf("asking the container engine who it is: %w", err)
	}
	if len(is.Components) > 0 && strings.HasPrefix(is.Components[0].Name, "Podman") {
		return r.SecurityOptions, nil
	}
	options := slices.Clone(r.SecurityOptions)
	for i, o := range options {
		if !strings.HasPrefix(o, inFile) {
			continue
		}
		name := strings.TrimPrefix(o, "seccomp=")
		text, err := r.e.h.FS.Read(name, maxSeccomp)
		if err != nil {
			return nil, fmt.Errorf("reading the seccomp profile %s: %w", name, err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, text); err != nil {
			return nil, fmt.Errorf("reading the seccomp profile %s: %w", name, err)
		}
		options[i] = "seccomp=" + compact.String()
	}
	return options, nil
}
