package up

import (
	"strings"
	"testing"
)

// What the controller introduces itself with goes to the host it was given for, and to no other.
func TestOtherRepositories(t *testing.T) {
	t.Parallel()
	const with = "https://ci:s3cret@git.example.com/acme/policy.git"
	for _, tt := range []struct{ git, repository, want string }{
		{with, "https://git.example.com/acme/lab.git", "https://ci:s3cret@git.example.com/acme/lab.git"},
		{with, "https://eve@git.example.com/acme/lab.git", "https://eve@git.example.com/acme/lab.git"},
		{with, "https://git.example.com:8443/acme/lab.git", "https://git.example.com:8443/acme/lab.git"},
		{with, "https://git.example.com.evil.example/acme/lab.git", "https://git.example.com.evil.example/acme/lab.git"},
		{with, "http://git.example.com/acme/lab.git", "http://git.example.com/acme/lab.git"},
		{with, "git@git.example.com:acme/lab.git", "git@git.example.com:acme/lab.git"},
		{"/srv/policy", "/srv/lab", "/srv/lab"},
		{with, "/etc", "names files of this machine"},
		{with, "file:///etc", "names files of this machine"},
		{with, "git://git.example.com/acme/lab.git", "proves nothing"},
	} {
		got, err := PublisherConfig{Git: tt.git}.elsewhere(tt.repository)
		if err != nil {
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: %v, want %q", tt.repository, err, tt.want)
			}
			continue
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.repository, got, tt.want)
		}
	}
}
