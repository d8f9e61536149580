//go:build linux

package machine

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/host"
)

// A database is the local accounts as passwd(5), group(5) and shadow(5) have them.
type database struct {
	users  []host.User
	groups []host.Group
}

// parseAccounts reads the three files. Lines that are empty, comments, or for NIS ("+…", "-…") are passed over, and
// so are lines that are damaged, as the C library does.
func parseAccounts(passwd, group, shadow []byte) database {
	var db database
	member := map[string][]string{}
	for line := range strings.Lines(string(group)) {
		f := accountFields(line, 4)
		if f == nil {
			continue
		}
		gid, err := strconv.Atoi(f[2])
		if err != nil || gid < 0 {
			continue
		}
		members := split(f[3])
		for _, m := range members {
			member[m] = append(member[m], f[0])
		}
		db.groups = append(db.groups, host.Group{Name: f[0], GID: gid, Members: members})
	}
	secret := map[string][]string{}
	for line := range strings.Lines(string(shadow)) {
		if f := accountFields(line, 9); f != nil {
			secret[f[0]] = f
		}
	}
	for line := range strings.Lines(string(passwd)) {
		f := accountFields(line, 7)
		if f == nil {
			continue
		}
		uid, err1 := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		if err1 != nil || err2 != nil || uid < 0 || gid < 0 {
			continue
		}
		u := host.User{Name: f[0], UID: uid, GID: gid, Comment: f[4], Home: f[5], Shell: f[6], Password: f[1]}
		u.Groups = append(u.Groups, member[f[0]]...)
		sort.Strings(u.Groups)
		if s := secret[f[0]]; s != nil && f[1] == "x" {
			u.Password, u.Expires = s[1], dateOf(s[7])
			u.Aging = host.Aging{Min: s[3], Max: s[4], Warn: s[5], Inactive: s[6]}
		} else if f[1] == "x" && shadow == nil {
			u.Password = host.UnknownPassword
		}
		db.users = append(db.users, u)
	}
	return db
}

// accountFields splits a line into exactly n fields; nil if it is no account.
func accountFields(line string, n int) []string {
	line = strings.TrimRight(line, "\r\n")
	if line == "" || strings.ContainsRune("#+-:", rune(line[0])) {
		return nil
	}
	f := strings.Split(line, ":")
	if len(f) != n {
		return nil
	}
	return f
}

// split reads a list separated by commas, sorted.
func split(s string) []string {
	var list []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	sort.Strings(list)
	return list
}

// dateOf turns days since 1970 into a date; nothing means never.
func dateOf(days string) string {
	n, err := strconv.Atoi(days)
	if err != nil || n < 0 || n > 3_000_000 {
		return ""
	}
	return time.Unix(0, 0).UTC().AddDate(0, 0, n).Format(time.DateOnly)
}

// daysOf turns a date into days since 1970; nothing stays nothing.
func daysOf(date string) (string, error) {
	if date == "" {
		return "", nil
	}
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return "", fmt.Errorf("%q is not a date such as 2006-01-02", date)
	}
	return strconv.FormatInt(t.Unix()/86400, 10), nil
}
