package traits

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/host"
)

// Sessions is who is logged in, as systemd-logind knows it, or as utmp(5) does where logind does not run.
//
//	when: sessions.count == 0 or not ("root" in sessions.users)
type Sessions struct {
	// Count is the number of sessions, also of those that are not listed.
	Count int `json:"count"`
	// Users that are logged in, sorted.
	Users []string `json:"users"`
	// List of the sessions, the oldest first, at most 100.
	List []Session `json:"list"`
}

// Session is one login.
type Session struct {
	// User that logged in.
	User string `json:"user"`
	// Terminal such as pts/0 or tty1; empty if it has none.
	Terminal string `json:"terminal"`
	// Host is where the login came from; empty at the machine itself.
	Host string `json:"host"`
	// Since is when it began, in UTC.
	Since string `json:"since"`
}

const (
	logindDir   = "/run/systemd/sessions"
	utmpFile    = "/run/utmp"
	maxSessions = 100
)

func collectSessions(_ context.Context, h *host.Host) (Sessions, error) {
	list, err := logindSessions(h)
	if errors.Is(err, host.ErrNotFound) {
		list, err = utmpSessions(h)
	}
	if err != nil {
		return Sessions{}, missing(err)
	}
	slices.SortFunc(list, func(a, b Session) int {
		return strings.Compare(a.Since+" "+a.Terminal, b.Since+" "+b.Terminal)
	})
	s := Sessions{Count: len(list), Users: []string{}, List: append([]Session{}, list[:min(len(list), maxSessions)]...)}
	for _, one := range list {
		if !slices.Contains(s.Users, one.User) {
			s.Users = append(s.Users, one.User)
		}
	}
	slices.Sort(s.Users)
	return s, nil
}

// logindSessions reads the state files of systemd-logind, one a session.
func logindSessions(h *host.Host) ([]Session, error) {
	files, err := h.FS.List(logindDir)
	if err != nil {
		return nil, err
	}
	var list []Session
	for _, f := range files {
		if f.Kind != host.File || strings.HasPrefix(f.Name, ".") { // fifos hold sessions open
			continue
		}
		text, err := read(h, logindDir+"/"+f.Name)
		if errors.Is(err, host.ErrNotFound) {
			continue // it ended
		}
		if err != nil {
			return nil, err
		}
		if s, ok := parseLogind(text); ok {
			list = append(list, s)
		}
	}
	return list, nil
}

// parseLogind reads one session. Those that are not of a user (managers, greeters) or are closing do not count.
func parseLogind(text string) (Session, bool) {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			fields[key] = value
		}
	}
	class, _, _ := strings.Cut(fields["CLASS"], "-") // user, user-early, user-incomplete
	if class != "user" || fields["STATE"] == "closing" || fields["USER"] == "" {
		return Session{}, false
	}
	s := Session{User: fields["USER"], Terminal: strings.TrimPrefix(fields["TTY"], "/dev/"), Host: fields["REMOTE_HOST"]}
	if micros, err := strconv.ParseInt(fields["REALTIME"], 10, 64); err == nil && micros > 0 {
		s.Since = utc(micros / 1_000_000)
	}
	return s, true
}

func utc(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

func utmpSessions(h *host.Host) ([]Session, error) {
	data, err := h.FS.Read(utmpFile, 16<<20)
	if err != nil {
		return nil, err
	}
	return parseUtmp(data)
}

// utmpForms are the two layouts of utmp(5): a record has 384 bytes where its time is kept as on 32-bit machines (x86,
// PowerPC, 32-bit ARM), 400 where it is not (64-bit ARM, RISC-V, S/390).
func utmpForms() []utmpForm {
	return []utmpForm{{size: 384, seconds: 340, wide: 4}, {size: 400, seconds: 344, wide: 8}}
}

type utmpForm struct{ size, seconds, wide int }

const userProcess = 7 // ut_type of a login

// parseUtmp reads the records of logins. The bytes are little-endian but on S/390, which is told by the type field.
func parseUtmp(data []byte) ([]Session, error) {
	if len(data) == 0 {
		return nil, nil
	}
	for _, form := range utmpForms() {
		if len(data)%form.size != 0 {
			continue
		}
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			if list, ok := form.read(data, order); ok {
				return list, nil
			}
		}
	}
	return nil, fmt.Errorf("reading %s: its %d bytes are no login records", utmpFile, len(data))
}

// read reads all records; it is not ok when one has a type that there is not.
func (f utmpForm) read(data []byte, order binary.ByteOrder) (list []Session, ok bool) {
	for ; len(data) >= f.size; data = data[f.size:] {
		kind := order.Uint16(data)
		if kind > 9 {
			return nil, false
		}
		if kind != userProcess {
			continue
		}
		seconds := int64(order.Uint32(data[f.seconds:]))
		if f.wide == 8 {
			seconds = int64(order.Uint64(data[f.seconds:]))
		}
		if seconds < 0 || seconds > 1<<36 {
			return nil, false
		}
		list = append(list, Session{User: cstring(data[44:76]), Terminal: cstring(data[8:40]), Host: cstring(data[76:332]), Since: utc(seconds)})
	}
	return list, true
}

// cstring returns the text before the first zero byte, as valid UTF-8.
func cstring(field []byte) string {
	text, _, _ := strings.Cut(string(field), "\x00")
	return strings.ToValidUTF8(text, "�")
}
