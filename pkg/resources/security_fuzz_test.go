package resources

import (
	"slices"
	"strings"
	"testing"
)

// Whatever is in a service of PAM, putting a rule in twice is the same as once, and no other rule is lost or changed.
func FuzzPAM(f *testing.F) {
	f.Add("auth required pam_unix.so nullok\n@include common\n# comment\naccount [default=bad success=ok] \\\n pam_x.so [a b]\n")
	f.Add("auth required pam_faillock.so preauth\nauth required pam_faillock.so authfail\n")
	f.Add("-session optional pam_systemd.so\nauth [open pam_unix.so")
	f.Fuzz(func(t *testing.T, text string) {
		r := &PAMRule{Service: "s", Type: "auth", Control: "required", Module: "pam_faillock.so", Arguments: []string{"preauth"}}
		old := textOf(text).lines
		put, err := r.edit(old, nil)
		if err != nil {
			return
		}
		again, err := r.edit(put, nil)
		if err != nil || !equalLines(put, again) {
			t.Fatalf("%q becomes %q, and then %q, %v", old, put, again, err)
		}
		if others, kept := otherPAM(t, r, old), otherPAM(t, r, put); !slices.Equal(others, kept) {
			t.Fatalf("other rules were %q and are %q", others, kept)
		}
	})
}

func otherPAM(t *testing.T, r *PAMRule, lines []string) []string {
	parsed, err := parsePAMFile(lines)
	if err != nil {
		t.Fatal(err)
	}
	var others []string
	for _, l := range parsed {
		if l != nil && (l.kind != r.Type || !strings.HasSuffix(l.module, r.Module)) {
			others = append(others, l.text)
		}
	}
	return others
}

// Whatever is in a list of known hosts, putting a key in twice is the same as once, taking it out leaves none, and lines
// of other types stay.
func FuzzKnownHosts(f *testing.F) {
	f.Add("git.example.com,b ssh-ed25519 AAAA comment\n@revoked * ssh-rsa AAAA\n#x\n", true)
	f.Add("|1|T0GBWT4YoVj6rJVdAJcFQSxCy/8=|g9qNouU7wGh/c19TF6LkDaxcJNQ= ssh-ed25519 AAAA\n|1|x|y ssh-ed25519 A", false)
	f.Fuzz(func(t *testing.T, text string, hashed bool) {
		k := &SSHKnownHost{Name: "git.example.com", Type: "ssh-ed25519", Key: "AAAA", Hashed: hashed}
		old := textOf(text).lines
		put := k.edit(old, []byte("salt"))
		if again := k.edit(put, []byte("salt")); !equalLines(put, again) {
			t.Fatalf("%q becomes %q, and then %q", old, put, again)
		}
		k.Ensure, k.Key = "absent", ""
		for _, line := range k.edit(put, nil) {
			l, ok := parseKnownHost(line)
			if !ok || l.marker != "" || l.keyType != k.Type {
				continue
			}
			if mine, _ := l.split(k.listed()); len(mine) > 0 {
				t.Fatalf("%q is still there", line)
			}
		}
	})
}
