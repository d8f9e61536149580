package resources

import (
	"encoding/json"
	"path"

	"vigo.dev/pkg/resource"
)

// playlistFile is what a player reads.
const playlistFile = "playlist.json"

// playlistManifest is the content of playlistFile. Players rely on it: fields are added, never changed.
type playlistManifest struct {
	Version  int            `json:"version"`
	Shuffle  bool           `json:"shuffle"`
	Timezone string         `json:"timezone,omitempty"`
	Items    []playlistShow `json:"items"`
}

type playlistShow struct {
	File    string   `json:"file"` // below the directory
	Name    string   `json:"name"`
	SHA256  string   `json:"sha256"`
	Seconds float64  `json:"seconds,omitempty"`
	From    string   `json:"from,omitempty"`
	Until   string   `json:"until,omitempty"`
	Days    []string `json:"days,omitempty"`
	Start   string   `json:"start,omitempty"`
	End     string   `json:"end,omitempty"`
}

// manifest is the file that names the content.
func (l *Playlist) manifest() *File {
	m := playlistManifest{Version: 1, Shuffle: l.Shuffle, Timezone: l.Timezone}
	for _, i := range l.Items {
		m.Items = append(m.Items, playlistShow{i.file(), i.name(), i.digest(), i.Duration.Seconds(), i.From, i.Until, i.Days, i.Start, i.End})
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		data = []byte(err.Error()) // texts and finite numbers can always be rendered
	}
	text := string(data) + "\n"
	return &File{Path: path.Join(l.Directory, playlistFile), Content: &text, Mode: &resource.Mode{Perm: 0o644}, Owner: l.Owner, Group: l.Group}
}
