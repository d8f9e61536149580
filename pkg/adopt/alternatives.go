package adopt

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
)

// alternativesDir is the database of update-alternatives(1).
const alternativesDir = dpkgDir + "/alternatives"

// ownProgram is a path where people put programs that no package brings, and so nothing else makes a choice of.
var ownProgram = regexp.MustCompile(`^/(usr/local|opt|srv|home)/`)

// alternatives adopts which program stands behind a name, where somebody has chosen it.
func (c *collector) alternatives() error {
	if !c.asked("alternatives") {
		return nil
	}
	entries, err := c.h.FS.List(alternativesDir)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return fmt.Errorf("looking at alternatives: %w", err)
	}
	for _, e := range entries {
		data, err := optional(c.h.FS, path.Join(alternativesDir, e.Name))
		if err != nil {
			return fmt.Errorf("looking at alternatives: %w", err)
		}
		info, err := c.h.FS.Stat("/etc/alternatives/" + e.Name)
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking at alternatives: %w", err)
		}
		if attrs, manual := choice(string(data), info.Target); attrs != nil && c.wants("alternatives", e.Name, manual) {
			module := "system" // after the packages
			if ownProgram.MatchString(info.Target) {
				module = topicOf(info.Target) // after the program
			}
			c.offer(Resource{Module: module, Type: "alternatives", Identity: e.Name, Attrs: attrs})
		}
	}
	return nil
}

// choice reads a file of the database: the mode, the link, and somewhere below it each choice with its priority in the next
// line. It returns nil where the program is none of the choices, and no path where the machine has chosen.
func choice(text, program string) (attrs map[string]any, manual bool) {
	lines := strings.Split(text, "\n")
	at := slices.Index(lines, program)
	if at < 2 || at+1 == len(lines) {
		return nil, false
	}
	if lines[0] != "manual" {
		return map[string]any{}, false
	}
	attrs = map[string]any{"path": program}
	if priority, err := strconv.Atoi(lines[at+1]); err == nil && ownProgram.MatchString(program) {
		attrs["link"], attrs["priority"] = lines[1], priority
	}
	return attrs, true
}
