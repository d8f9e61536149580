package resources

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// maxDiff is the size in bytes from which content is shown by its digest alone, and no longer as a diff.
const maxDiff = 64 << 10

// contentChange describes a change of text or bytes.
func contentChange(field string, from, to []byte) change.Change {
	if len(from) > maxDiff || len(to) > maxDiff || !isText(from) || !isText(to) {
		return change.Of(field, briefDigest(digestOf(from), int64(len(from))), briefDigest(digestOf(to), int64(len(to))))
	}
	d := string(diff.Diff("is", from, "want", to))
	_, d, _ = strings.Cut(d, "\n") // the line "diff is want"
	return change.Change{Field: field, Diff: d}
}

func isText(b []byte) bool { return bytes.IndexByte(b, 0) < 0 && utf8.Valid(b) }

func digestOf(b []byte) string {
	const name = "sha256:"
	var out [len(name) + 2*sha256.Size]byte
	sum := sha256.Sum256(b)
	hex.Encode(out[copy(out[:], name):], sum[:])
	return string(out[:])
}

func briefDigest(digest string, size int64) string {
	return fmt.Sprintf("%.19s (%d bytes)", digest, size)
}

// validation makes what host.WriteOptions wants of a command that checks a candidate; {} stands for its path.
func validation(h *host.Host, argv resource.Argv) func(context.Context, string) error {
	if len(argv) == 0 {
		return nil
	}
	return func(ctx context.Context, candidate string) error {
		args := make([]string, len(argv))
		for i, a := range argv {
			args[i] = strings.ReplaceAll(a, "{}", candidate)
		}
		res, err := h.Run.Run(ctx, host.Command{Argv: args})
		if err != nil {
			return fmt.Errorf("validating: %w", err)
		}
		if res.Code != 0 {
			said := lastWords(append(res.Stdout, res.Stderr...))
			return fmt.Errorf("validating: %s refused the new content with status %d%s", argv[0], res.Code,
				strings.ReplaceAll(said, candidate, "{}"))
		}
		return nil
	}
}

// checkValidation says what is wrong with such a command.
func checkValidation(argv resource.Argv) error {
	if len(argv) > 0 && !strings.Contains(strings.Join(argv, " "), "{}") {
		return fmt.Errorf("validate: the command does not name the file to check: put {} where its path belongs")
	}
	return nil
}

// lastWords returns the end of what a program said, as the end of an error message.
func lastWords(out []byte) string {
	said := excerpt.Said(out)
	if said == "" {
		return ""
	}
	return ": " + said
}
