package host

import "context"

// Quotas is the limits that file systems keep for those who own what is on them.
type Quotas interface {
	// Quota returns the limits of a subject on the file system mounted at path; no limits if nobody set any.
	// [errors.ErrUnsupported] if that file system does not keep such limits now.
	Quota(ctx context.Context, path string, of QuotaSubject) (QuotaLimits, error)
	SetQuota(ctx context.Context, path string, of QuotaSubject, limits QuotaLimits) error
}

// A QuotaSubject is whom limits are for.
type QuotaSubject struct {
	Kind string // user, group or project
	ID   uint32
}

// QuotaLimits are limits; 0: none. A soft one may be exceeded for a while.
type QuotaLimits struct {
	BlockSoft, BlockHard uint64 // bytes, in whole KiB
	InodeSoft, InodeHard uint64 // files and directories
}
