package policy

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const compactModule = `{"name":"web","about":"it \"serves\"","params":{"port":{"type":"port","default":80,"pos":{"file":"m.yaml","line":3}}},
"when":{"s":"os.family == \"debian\"","pos":{"file":"m.yaml","line":2,"col":7}},"resources":[
{"type":"file","identity":"/etc/a b","id":"conf","attrs":{"content":"a\nb\t\u003cx\u003e \u00e9 ü \ud83d\ude00 \/","mode":"0644","list":[1,-2.5e3,true,false,null,{"x":[]}]},
 "pos":{"file":"m.yaml","line":12,"col":5},"at":{"content":[13,7],"mode":[14,7]},"tags":["a"],"timeout":90000000000,"audit":true,"notify":[{"s":"service:x","pos":{"file":"m.yaml"}}]},
{"type":"exec","identity":"x","foreach":{"k":"v"},"when":{"s":"true","pos":{"file":"m.yaml","line":1234567890}},"guard":{"timeout":1,"pos":{"file":"m.yaml"}},"requires":[],"attrs":{},"later":{"of":["a","newer"]}},
{"type":"package","identity":"y","attrs":null,"at":null,"requires":null,"pos":null,"when":null}],"needs":3,"pos":{"file":"m.yaml","line":1,"col":1}}`

// agree has both readers read a module.
func agree(t *testing.T, data []byte) {
	t.Helper()
	var want Module
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	got, err := readModule(data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if diff := cmp.Diff(&want, got, cmp.AllowUnexported(Module{})); diff != "" {
		t.Errorf("%s\n%s", data, diff)
	}
}

func TestAModuleIsReadAsPackageJSONWould(t *testing.T) {
	t.Parallel()
	agree(t, []byte(compactModule))
	agree(t, []byte(`{}`))
	agree(t, []byte(" {\n\"resources\" : [ ] , \"name\":\"x\" }\n"))
	agree(t, []byte(`{"resources":null}`))
	agree(t, []byte(`{"resources":[{"at":{"a":[1],"b":[1,2,3],"c":[],"d":[0,10]},"pos":{"line":0,"more":[{}]}}]}`))
}

// Whatever the example policy has in it, agents read it as it was packed.
func TestTheExampleIsReadAsItWasPacked(t *testing.T) {
	t.Parallel()
	_, layers, err := Read(os.DirFS("../../policies-example"), func(*Policy, *Content) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		for _, f := range l.Files {
			if l.Module != "" && f.Path == compiledName {
				agree(t, f.Data)
			}
		}
	}
}

func TestABrokenModuleIsRefused(t *testing.T) {
	t.Parallel()
	good := []byte(compactModule)
	for n := range good {
		if _, err := readModule(good[:n]); err == nil {
			t.Fatalf("the first %d bytes are taken for a module", n)
		}
	}
	for _, bad := range []string{
		`[]`, `{} x`, `{"name":}`, `{"resources":{}}`, `{"resources":[{"type":1}]}`, `{"resources":[{"attrs":[]}]}`, `{"resources":[{"attrs":{"a":tru}}]}`,
		`{"resources":[{"pos":{"line":01}}]}`, `{"resources":[{"pos":{"line":1.5}}]}`, `{"resources":[{"pos":{"x":+}}]}`, `{"resources":[{"identity":"a` + "\n" + `"}]}`,
		`{"resources":[{"attrs":{"a":"\x"}}]}`, `{"resources":[{"attrs":{"a":"\u12"}}]}`, `{"resources":[{"attrs":{"a":1,}}]}`, `{"resources":[,]}`,
		`{"resources":[{}` + strings.Repeat(",{}", MaxResources) + `]}`,
		`{"resources":[{"attrs":{"a":` + strings.Repeat("[", 100_000) + `}}]}`, `{"resources":[{"at":{"a":[1 2]}}]}`, `{"resources":[{"when":{"s":"a" "pos":{}}}]}`,
	} {
		if m, err := readModule([]byte(bad)); err == nil {
			t.Errorf("%.80s is taken for %+v", bad, m)
		}
	}
}

func FuzzReadModule(f *testing.F) {
	f.Add(compactModule)
	f.Add(`{"resources":[{"attrs":{"a":"\ud800 \u0041"},"at":{"a":[1,1e0]}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := readModule([]byte(text)); err == nil {
			if !json.Valid([]byte(text)) {
				t.Fatalf("%q is taken for %+v", text, m)
			}
		}
		var m Module
		if json.Unmarshal([]byte(text), &m) != nil {
			return
		}
		// Written again, each key is there once and as it is spelled: that is what controllers pack.
		packed, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, packed)
	})
}
