package vigocmd

import "testing"

func TestParseReference(t *testing.T) {
	t.Parallel()
	const digest = "sha256:127bff9dfbf7c67f8b10cc93dd5375e440f79580c228fa46e1000087788af188"
	for s, want := range map[string]reference{
		"oci-layout:out":                        {"oci-layout:out", ""},
		"oci-layout:out:v1":                     {"oci-layout:out", "v1"},
		"oci-layout:/a/b:v1":                    {"oci-layout:/a/b", "v1"},
		"oci-layout:a@b:v1":                     {"oci-layout:a@b", "v1"},
		"oci-layout:out@" + digest:              {"oci-layout:out", digest},
		"registry.example.com/vigo/acme":        {"registry.example.com/vigo/acme", ""},
		"registry.example.com:5000/vigo/acme":   {"registry.example.com:5000/vigo/acme", ""},
		"localhost:5000/acme:v1":                {"localhost:5000/acme", "v1"},
		"[::1]:5000/acme:v1":                    {"[::1]:5000/acme", "v1"},
		"localhost:5000/acme@" + digest:         {"localhost:5000/acme", digest},
		"registry.example.com/vigo/acme:commit": {"registry.example.com/vigo/acme", "commit"},
		"localhost:5000":                        {"localhost:5000", ""},
	} {
		got := parseReference(s)
		if got != want {
			t.Errorf("%s: got %+v, want %+v", s, got, want)
		}
		if got.tag != "" && got.String() != s {
			t.Errorf("%s is written as %s", s, got)
		}
	}
}
