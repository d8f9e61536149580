package traits

import (
	"embed"
	"io/fs"
)

// The sources are only in programs that call Sources: the linker leaves unused embedded files out.
//
//go:embed *.go
var sources embed.FS

// Sources returns the Go files of this package, whose doc comments are the manual of the traits.
func Sources() fs.FS { return sources }
