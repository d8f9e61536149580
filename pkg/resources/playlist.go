package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Playlist is what a screen shows, and when: pictures, films and pages by digest, in a directory that a player reads. The content is
// in content/, each file named by its SHA-256 digest. playlist.json names the files in their order with the times they are for,
// and is replaced at once, when all that it names is there; what it no longer names is removed then. A player that reads playlist.json again
// when it changes never finds a file missing, and goes on without a network.
//
// playlist.json is an object with version (1), shuffle, timezone and items; an item has file, name and sha256, and where they are
// given seconds, from, until, days, start and end, as they are declared here.
//
//	resources:
//	  - playlist: /var/lib/signage/lobby
//	    timezone: Europe/Berlin
//	    items:
//	      - source: welcome.png
//	        duration: 15s
//	      - url: https://media.example.com/advent.mp4
//	        sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	        from: "2026-12-01"
//	        until: "2026-12-24"
//	        days: [mon, tue, wed, thu, fri]
//	        start: "08:00"
//	        end: "18:00"
type Playlist struct {
	// Directory of the playlist, absolute. Its parent must be there.
	Directory string `vigo:"identity"`

	// Ensure says whether the playlist should be there. Files that are not of it stay when it is absent.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Items in their order.
	Items []PlaylistItem `yaml:"items"`

	// Shuffle says that the player may choose the order.
	Shuffle bool `yaml:"shuffle"`

	// Timezone that days and times are in, such as Europe/Berlin; that of the host if it is not given.
	Timezone string `yaml:"timezone"`

	// Headers are sent with requests for content, such as Authorization.
	Headers map[string]string `yaml:"headers" vigo:"secret"`

	// MaxSize is the most bytes of one item from a URL; 1 GiB if it is not given.
	MaxSize int64 `yaml:"max_size"`

	// Owner of the files: the name of a user, or a number.
	Owner string `yaml:"owner"`

	// Group of the files: the name of a group, or a number.
	Group string `yaml:"group"`
}

// PlaylistItem is one thing to show.
type PlaylistItem struct {
	// Source is a file of the module.
	Source string `yaml:"source"`

	// URL to fetch from, http or https.
	URL string `yaml:"url"`

	// SHA256 is the digest of the content of the URL: 64 hexadecimal digits in lower case.
	SHA256 string `yaml:"sha256"`

	// Name for people, whose ending is that of the file; the last part of source or URL if it is not given.
	Name string `yaml:"name"`

	// Duration is how long to show it; a film until its end, if it is not given.
	Duration resource.Duration `yaml:"duration"`

	// From is the first day, such as "2026-12-01".
	From string `yaml:"from"`

	// Until is the last day.
	Until string `yaml:"until"`

	// Days of the week: mon, tue, wed, thu, fri, sat, sun. All if it is not given.
	Days []string `yaml:"days"`

	// Start is the time of the day to show it from, such as "08:00".
	Start string `yaml:"start"`

	// End is the time of the day to show it until; one before start is on the next day.
	End string `yaml:"end"`

	blob *resource.Blob // of Source
}

var (
	_ resource.Validator = (*Playlist)(nil)
	_ resource.Requirer  = (*Playlist)(nil)
	_ resource.Binder    = (*Playlist)(nil)

	playlistContent = regexp.MustCompile(`^[0-9a-f]{64}(\.[A-Za-z0-9]{1,8})?$`)
	playlistEnding  = regexp.MustCompile(`^\.[A-Za-z0-9]{1,8}$`)
)

// Validate implements [resource.Validator].
func (l *Playlist) Validate() error {
	if err := checkPath(l.Directory); err != nil {
		return err
	}
	if l.Ensure == "absent" {
		return nil
	}
	if l.Timezone != "" && !plainWord(l.Timezone, "/+") {
		return fmt.Errorf("timezone: %q is not a time zone such as Europe/Berlin", l.Timezone)
	}
	if len(l.Items) == 0 {
		return fault.WithHint(errors.New("playlist needs items"), "ensure: absent removes it")
	}
	for i := range l.Items {
		if err := l.Items[i].check(l); err != nil {
			return fmt.Errorf("items[%d]: %w", i, err)
		}
	}
	return nil
}

func (i *PlaylistItem) check(l *Playlist) error {
	switch {
	case (i.Source == "") == (i.URL == ""):
		return errors.New("needs a source or a url")
	case i.Source != "" && i.SHA256 != "":
		return errors.New("sha256 belongs to url: the digest of a source is known")
	case strings.ContainsAny(i.Name, "/\x00\n"):
		return fmt.Errorf("name: %q is not the name of a file", i.Name)
	}
	if i.URL != "" {
		if err := l.download(*i).Validate(); err != nil {
			return err
		}
	}
	for _, d := range i.Days {
		if !slices.Contains([]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}, d) {
			return fmt.Errorf("days: %q is not one of mon, tue, wed, thu, fri, sat, sun", d)
		}
	}
	for key, day := range map[string]string{"from": i.From, "until": i.Until} {
		if _, err := time.Parse(time.DateOnly, day); err != nil && day != "" {
			return fmt.Errorf("%s: %q is not a day such as \"2026-12-01\"", key, day)
		}
	}
	for key, clock := range map[string]string{"start": i.Start, "end": i.End} {
		if _, err := time.Parse("15:04", clock); clock != "" && (err != nil || len(clock) != 5) {
			return fmt.Errorf("%s: %q is not a time such as \"08:00\"", key, clock)
		}
	}
	switch {
	case i.From != "" && i.Until != "" && i.Until < i.From:
		return fmt.Errorf("until: %s is before %s", i.Until, i.From)
	case i.Start != "" && i.Start == i.End:
		return errors.New("end: is the same as start")
	}
	return nil
}

// Requires implements [resource.Requirer].
func (l *Playlist) Requires() []resource.ID {
	if l.Ensure == "absent" {
		return nil
	}
	return append(attributes{nil, l.Owner, l.Group}.requires(l.Directory), resource.ID{Type: "directory", Name: l.Directory})
}

// Bind implements [resource.Binder].
func (l *Playlist) Bind(c resource.Content) error {
	for n := range l.Items {
		i := &l.Items[n]
		if i.Source == "" {
			continue
		}
		b, err := c.File(i.Source)
		if err != nil {
			return fmt.Errorf("items[%d]: source: %w", n, err)
		}
		i.blob = &b
	}
	return nil
}

// digest of the content, without the word before it.
func (i *PlaylistItem) digest() string {
	if i.blob != nil {
		return strings.TrimPrefix(i.blob.Digest, "sha256:")
	}
	return i.SHA256
}

func (i *PlaylistItem) name() string {
	if i.Name != "" {
		return i.Name
	}
	from, _, _ := strings.Cut(orWord(i.Source, i.URL), "?")
	return path.Base(from)
}

// file is where the content is, below the directory.
func (i *PlaylistItem) file() string {
	ending := path.Ext(i.name())
	if !playlistEnding.MatchString(ending) {
		ending = ""
	}
	return "content/" + i.digest() + ending
}

// download is an item from a URL as a file.
func (l *Playlist) download(i PlaylistItem) *Download {
	return &Download{Path: path.Join(l.Directory, i.file()), URL: i.URL, SHA256: i.SHA256, Headers: l.Headers, MaxSize: l.MaxSize,
		Mode: &resource.Mode{Perm: 0o644}, Owner: l.Owner, Group: l.Group}
}

// Plan implements [resource.Resource].
func (l *Playlist) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if l.Ensure == "absent" {
		return p, l.planAbsent(h, &p)
	}
	for _, dir := range []string{l.Directory, path.Join(l.Directory, "content")} {
		d := &Directory{Path: dir, Mode: &resource.Mode{Perm: 0o755}, Owner: l.Owner, Group: l.Group}
		plan, err := d.Plan(ctx, h)
		if err != nil {
			return p, err
		}
		p.Include(strings.TrimPrefix(strings.TrimPrefix(dir, l.Directory), "/"), plan)
	}
	seen := map[string]bool{}
	for _, i := range l.Items {
		if seen[i.file()] {
			continue
		}
		seen[i.file()] = true
		if err := l.planItem(ctx, h, i, &p); err != nil {
			return p, err
		}
	}
	manifest, err := l.manifest().Plan(ctx, h)
	if err != nil {
		return p, err
	}
	p.Include("playlist.json", manifest)
	return p, l.planStale(h, seen, &p)
}

// planItem plans that the content of an item is there, and right.
func (l *Playlist) planItem(ctx context.Context, h *host.Host, i PlaylistItem, p *resource.Plan) error {
	var file resource.Resource = l.download(i)
	if i.Source != "" {
		file = &File{Path: path.Join(l.Directory, i.file()), Source: i.Source, bound: i.blob, Mode: &resource.Mode{Perm: 0o644}, Owner: l.Owner, Group: l.Group}
	}
	plan, err := file.Plan(ctx, h)
	if err != nil {
		return fmt.Errorf("%s: %w", i.name(), err)
	}
	p.Include(i.name(), plan)
	return nil
}

// planStale plans the end of content that the playlist no longer names.
func (l *Playlist) planStale(h *host.Host, named map[string]bool, p *resource.Plan) error {
	files, err := entries(h, path.Join(l.Directory, "content"))
	if err != nil {
		return err
	}
	for _, name := range files {
		if named["content/"+name] || !playlistContent.MatchString(name) {
			continue
		}
		p.Do(func(ctx context.Context) error {
			return h.FS.Remove(ctx, path.Join(l.Directory, "content", name), false)
		},
			change.Of("content "+short("sha256:"+name), "present", change.Absent))
	}
	return nil
}

// planAbsent plans the end of the playlist: what names the content first.
func (l *Playlist) planAbsent(h *host.Host, p *resource.Plan) error {
	manifest := path.Join(l.Directory, playlistFile)
	is, err := look(h, manifest)
	if err != nil {
		return err
	}
	if is != nil {
		p.Do(func(ctx context.Context) error { return h.FS.Remove(ctx, manifest, false) }, change.Of("ensure", "present", change.Absent))
	}
	if err := l.planStale(h, nil, p); err != nil {
		return err
	}
	*p = p.Then(func(ctx context.Context) error {
		for _, dir := range []string{path.Join(l.Directory, "content"), l.Directory} {
			if !isEmpty(h, dir) {
				return nil
			}
			if err := h.FS.Remove(ctx, dir, false); err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}
