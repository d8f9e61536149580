package host

import "context"

// Extended is what a file has beyond mode and owner. Files are named as in [FS]; a final symbolic link is not followed. A
// file system without such attributes is [errors.ErrUnsupported].
type Extended interface {
	// Xattr returns an extended attribute, such as system.posix_acl_access; ErrNotFound if the file, or the attribute, is
	// not there.
	Xattr(path, name string) ([]byte, error)
	// SetXattr sets an extended attribute. A nil value removes it; one that is not there is no error then.
	SetXattr(ctx context.Context, path, name string, value []byte) error
	// Flags returns what the kernel refuses to do with a file or directory.
	Flags(path string) (FileFlags, error)
	// SetFlags sets these flags and leaves others of the file system alone.
	SetFlags(ctx context.Context, path string, f FileFlags) error
}

// FileFlags are the flags of chattr that a policy may set.
type FileFlags struct {
	Immutable  bool // nobody changes, removes or renames it, root neither
	AppendOnly bool
}
