package ocistore

import "io"

// noClose is a body in memory.
type noClose struct{ io.Reader }

// Close implements io.Closer.
func (noClose) Close() error { return nil }
