package traits

import (
	"context"
	"path"

	"vigo.dev/pkg/host"
)

// Users are the local users, by name; at most 5,000. Password hashes are not part of it, nor are the names of people.
//
//	when: has(users.deploy) and users.deploy.login
type Users map[string]User

// User is one local user.
type User struct {
	// UID is the number of the user.
	UID int `json:"uid"`
	// GID is the number of the primary group.
	GID int `json:"gid"`
	// Home is the home directory.
	Home string `json:"home"`
	// Shell is the program that a login starts.
	Shell string `json:"shell"`
	// Groups beside the primary one, sorted.
	Groups []string `json:"groups"`
	// System says whether the user belongs to the system and not to a person: its number is below 1000, or 65534.
	System bool `json:"system"`
	// Login says whether the shell lets the user in.
	Login bool `json:"login"`
}

// The numbers of people begin and end here, in all large distributions: UID_MIN of login.defs(5), and nobody.
const (
	firstPerson = 1000
	nobody      = 65534
)

const maxUsers = 5000

func collectUsers(ctx context.Context, h *host.Host) (Users, error) {
	all, _, err := h.Accounts.All(ctx)
	if err != nil {
		return nil, missing(err)
	}
	users := Users{}
	for _, u := range all[:min(len(all), maxUsers)] {
		users[u.Name] = User{
			UID: u.UID, GID: u.GID, Home: u.Home, Shell: u.Shell, Groups: append([]string{}, u.Groups...),
			System: u.UID < firstPerson || u.UID == nobody, Login: letsIn(u.Shell),
		}
	}
	return users, nil
}

// letsIn says whether a shell is one; an empty one is /bin/sh, passwd(5).
func letsIn(shell string) bool {
	switch path.Base(shell) {
	case "nologin", "false", "sync", "shutdown", "halt", "git-shell":
		return false
	}
	return true
}
