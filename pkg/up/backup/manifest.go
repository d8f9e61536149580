// Package backup takes what a report service keeps out of its data folder and its store while it runs, into one file, and
// puts it back.
//
// A backup is a tar archive in zstd: a manifest first, then the store as a file of SQLite, whatever database it was in, then
// the authority and the credentials that are beside it. Whoever has one can be the service.
//
// It refuses to take the keys that sign policy (those are kept apart, and offline where possible), to put back what is not whole,
// and to replace anything unless that is asked for.
package backup

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/sqlstore"
)

// The errors of backups.
var (
	// ErrNotWhole says that a file is no backup, or that something of it is missing or altered.
	ErrNotWhole = fault.WithCode(fault.WithHint(errors.New("not a whole backup"), "take an older one, or copy the file anew from where it was made"), fault.NotVerified)
	// ErrNewer says that a backup is of a form that this program does not know.
	ErrNewer = fault.WithHint(errors.New("the backup was made by a newer version"), "use the program of that version, or a newer one")
	// ErrExists says that something would be replaced.
	ErrExists = errors.New("it exists already")
)

// format is the number of the form described in this package.
const format = 1

// The members of a backup. What is beside the store is in the data folder under the same name.
const (
	manifestMember = "manifest.json"
	storeMember    = "report.db"
	authorityDir   = "ca"
)

// beside are the files of a data folder that are needed with the store: credentials that it knows by their hash, and the key
// that signs notices of alerts.
func beside() []string { return []string{"alerts.key", "controller.json", "operator.json"} }

const (
	maxManifest = 1 << 20 // bytes
	maxSmall    = 1 << 20 // bytes of a file beside the store
)

// A Manifest says what is in a backup. Times are UTC.
type Manifest struct {
	Format   int               `json:"format"`
	Version  string            `json:"version"` // of the program that made it
	Fleet    string            `json:"fleet,omitempty"`
	Taken    time.Time         `json:"taken"` // the store is as it was at this moment
	Database string            `json:"database"`
	Store    sqlstore.Contents `json:"store"`
	Files    []File            `json:"files"`
}

// A File is a member of a backup.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// member returns what the manifest says of a member.
func (m Manifest) member(name string) (File, bool) {
	at := slices.IndexFunc(m.Files, func(f File) bool { return f.Name == name })
	if at < 0 {
		return File{}, false
	}
	return m.Files[at], true
}

// known reports whether a member of this name belongs into a backup.
func known(name string) bool {
	if name == storeMember || slices.Contains(beside(), name) {
		return true
	}
	dir, file := filepath.Split(name)
	return dir == authorityDir+"/" && filepath.IsLocal(file) && file != "." && filepath.Clean(name) == name
}

// describe measures a file.
func describe(name, path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	return File{Name: name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, errors.Join(err, f.Close())
}

// fleetOf is the fleet of the authority in a data folder; "" when there is none that can be read.
func fleetOf(data string) string {
	text, err := os.ReadFile(filepath.Join(data, authorityDir, "ca.crt"))
	if err != nil {
		return ""
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return ""
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || len(cert.Subject.Organization) == 0 {
		return ""
	}
	return cert.Subject.Organization[0]
}
