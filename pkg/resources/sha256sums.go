package resources

import (
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// digestOfSums finds the digest of a file in a list as sha256sum(1) writes it ("DIGEST  NAME", "DIGEST *NAME"), with --tag too
// ("SHA256 (NAME) = DIGEST"). Names may have folders before them. A list of one digest without a name is about any file.
func digestOfSums(text, name string) (string, error) {
	found, alone, lines := "", "", 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		lines++
		digest, of := sumLine(line)
		switch {
		case digest == "":
			continue // such as the lines of a signature around the list
		case of == "":
			alone = digest
		case path.Base(of) != name:
		case found != "" && found != digest:
			return "", fmt.Errorf("it has two digests of %s", name)
		default:
			found = digest
		}
	}
	if found == "" && lines == 1 {
		found = alone
	}
	if found == "" {
		return "", fault.WithHint(fmt.Errorf("the digest of %s: %w", name, host.ErrNotFound), "it is looked up by the last part of url")
	}
	return found, nil
}

// sumLine takes one line apart; the digest is empty if it is none.
func sumLine(line string) (digest, name string) {
	if rest, tagged := strings.CutPrefix(line, "SHA256 ("); tagged {
		if at := strings.LastIndex(rest, ") = "); at >= 0 {
			digest, name = rest[at+len(") = "):], rest[:at]
		}
	} else {
		digest, name, _ = strings.Cut(line, " ")
		name = strings.TrimPrefix(strings.TrimPrefix(name, " "), "*")
	}
	digest = strings.ToLower(digest)
	if !downloadDigest.MatchString(digest) {
		return "", ""
	}
	return digest, name
}
