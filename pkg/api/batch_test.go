package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// checkInAt is a check-in as a hub holds it.
func checkInAt(hub, body string) Relayed {
	return Relayed{Path: checkInPath, Digest: "sha-256=:x:", Input: `vigo=("@method")`, Signature: "vigo=:y:", Received: time.Unix(1618884473, 5).UTC(), Hub: hub, Body: []byte(body)}
}

func batchOf(t testing.TB, all ...Relayed) []byte {
	t.Helper()
	var batch []byte
	for _, r := range all {
		var err error
		if batch, err = appendCheckIn(batch, r); err != nil {
			t.Fatal(err)
		}
	}
	return batch
}

// A batch has two lines for each check-in; the second is the body, byte for byte.
func TestBatchFrame(t *testing.T) {
	t.Parallel()
	got := batchOf(t, checkInAt("plant", `{"node":"web-1"}`), checkInAt("hall", ""), checkInAt("hall", "\r\x00 é\xff"))
	want := `{"digest":"sha-256=:x:","input":"vigo=(\"@method\")","signature":"vigo=:y:","received":"2021-04-20T02:07:53.000000005Z","hub":"plant"}
{"node":"web-1"}
{"digest":"sha-256=:x:","input":"vigo=(\"@method\")","signature":"vigo=:y:","received":"2021-04-20T02:07:53.000000005Z","hub":"hall"}

{"digest":"sha-256=:x:","input":"vigo=(\"@method\")","signature":"vigo=:y:","received":"2021-04-20T02:07:53.000000005Z","hub":"hall"}
` + "\r\x00 é\xff\n"
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	all, err := parseBatch(got)
	if err != nil || len(all) != 3 || !bytes.Equal(batchOf(t, all...), got) || all[0].Path != checkInPath || string(all[2].Body) != "\r\x00 é\xff" {
		t.Errorf("read as %+v: %v", all, err)
	}
}

// What has no frame is refused whole; nothing of it was taken.
func TestBatchFrameIsBad(t *testing.T) {
	t.Parallel()
	one := string(batchOf(t, checkInAt("plant", "{}")))
	for what, c := range map[string]struct {
		data string
		want *Error
	}{
		"nothing":             {"", ErrBadRequest},
		"no end":              {strings.TrimSuffix(one, "\n"), ErrBadRequest},
		"a head alone":        {one + "{}\n", ErrBadRequest},
		"a head without end":  {one + "{}", ErrBadRequest},
		"a head that is none": {"web-1\n{}\n", ErrBadRequest},
		"an empty line":       {"\n" + one, ErrBadRequest},
		"a time that is none": {`{"received":"noon"}` + "\n{}\n", ErrBadRequest},
		"one too many":        {strings.Repeat(one, MaxCheckIns+1), ErrTooLarge},
	} {
		if _, err := parseBatch([]byte(c.data)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %s", what, err, c.want.Code)
		}
	}
	if all, err := parseBatch([]byte(strings.Repeat(one, MaxCheckIns))); err != nil || len(all) != MaxCheckIns {
		t.Errorf("as many as may be: %d, %v", len(all), err)
	}
}

// A check-in that does not fit is sent by itself.
func TestFitsBatch(t *testing.T) {
	t.Parallel()
	for what, r := range map[string]Relayed{
		"another request":    {Path: "/v1/runs"},
		"two lines":          checkInAt("plant", "{\n}"),
		"a body too large":   checkInAt("plant", strings.Repeat("x", MaxSmall+1)),
		"a name too long":    checkInAt(strings.Repeat("x", 1025), "{}"),
		"the year is 10,000": {Path: checkInPath, Received: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if fitsBatch(r) {
			t.Errorf("%s fits", what)
		}
	}
	if !fitsBatch(checkInAt("plant", strings.Repeat("x", MaxSmall))) {
		t.Error("the largest does not fit")
	}
}

// The answer has a line for each: what was said, refusals with when to come back.
func TestBatchAnswers(t *testing.T) {
	t.Parallel()
	out := lines(nil).add(http.StatusOK, 0, []byte(`{"interval":5}`))
	for _, refusal := range []*Error{ErrTooMany, wireError(errors.New("private"))} {
		var err error
		if out, err = out.refuse(refusal); err != nil {
			t.Fatal(err)
		}
	}
	out = out.add(http.StatusOK, 0, []byte("{}"))
	want := `{"status":200,"body":{"interval":5}}
{"status":429,"retry":30,"body":{"error":{"code":"too-many","message":"too many requests"}}}
{"status":500,"body":{"error":{"code":"internal","message":"the service failed; its log says why"}}}
{"status":200,"body":{}}
`
	if string(out) != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	all, err := parseAnswers(out, 4)
	if err != nil || fmt.Sprintf("%d %q %s", all[0].Status, all[0].Retry, all[0].Body) != `200 "" {"interval":5}` || all[1].Retry != "30" || !errors.Is(all[1].Err(), ErrTooMany) {
		t.Errorf("read as %+v: %v", all, err)
	}
	for what, c := range map[string]struct {
		data string
		n    int
	}{
		"one missing": {want, 5}, "one too many": {want, 3}, "nothing": {"", 1}, "a page": {"<html>\n", 1}, "no end": {`{"status":200,"body":{}}`, 1},
		"no body": {`{"status":200}` + "\n", 1}, "no status": {`{"body":{}}` + "\n", 1},
	} {
		if _, err := parseAnswers([]byte(c.data), c.n); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// FuzzBatch: what is read is written again as the same, and is never more than may be.
func FuzzBatch(f *testing.F) {
	one := checkInAt("plant", `{"node":"web-1"}`)
	f.Add(batchOf(f, one))
	f.Add(batchOf(f, one, checkInAt("", "")))
	f.Add([]byte("{}\n\n{}\n{}"))
	for _, at := range []string{"2026-11-25T12:00:00+01:00", "9999-12-31T23:59:59-23:00", "0000-01-01T00:00:00+23:00"} {
		f.Add([]byte(`{"received":"` + at + `"}` + "\n{}\n"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := parseBatch(data)
		if err != nil {
			return
		}
		if len(all) == 0 || len(all) > MaxCheckIns {
			t.Fatalf("%d check-ins", len(all))
		}
		var batch []byte
		for _, r := range all {
			if bytes.IndexByte(r.Body, '\n') >= 0 || !bytes.Contains(data, r.Body) {
				t.Fatalf("a body that was not there: %q", r.Body)
			}
			if !fitsBatch(r) {
				return
			}
			if batch, err = appendCheckIn(batch, r); err != nil {
				t.Fatal(err)
			}
		}
		again, err := parseBatch(batch)
		if err != nil || fmt.Sprint(again) != fmt.Sprint(all) {
			t.Errorf("%q\nwas read as %+v\nand then as %+v, %v", data, all, again, err)
		}
	})
}

// FuzzBatchHead: what is read in the quick way is what encoding/json reads.
func FuzzBatchHead(f *testing.F) {
	head, _, _ := bytes.Cut(batchOf(f, checkInAt("plant", "{}")), []byte{'\n'})
	if _, ok := usualHead(head); !ok {
		f.Error("what is written is not read in the quick way")
	}
	f.Add(head)
	f.Add([]byte(`{"digest":"a\"","input":"\\","signature":"\u0020","received":"2021-04-20T02:07:53+01:00","hub":"é"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		quick, ok := usualHead(line)
		if !ok {
			return
		}
		var want batchHead
		if err := json.Unmarshal(line, &want); err != nil || !quick.Received.Equal(want.Received) || quick.Received.String() != want.Received.String() {
			t.Fatalf("%q is read as %+v, want %+v, %v", line, quick, want, err)
		}
		if quick.Received = want.Received; quick != want {
			t.Errorf("%q is read as %+v, want %+v", line, quick, want)
		}
	})
}

// FuzzBatchAnswers: a hub gets as many answers as it has asked, or none.
func FuzzBatchAnswers(f *testing.F) {
	f.Add([]byte(`{"status":200,"body":{}}`+"\n"), 1)
	f.Add([]byte(`{"status":429,"retry":30,"body":{"error":{"code":"too-many"}}}`+"\n"), 1)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		n &= MaxCheckIns - 1
		all, err := parseAnswers(data, n)
		if err == nil && len(all) != n {
			t.Errorf("%d answers to %d", len(all), n)
		}
		for _, said := range all {
			if said.Status == http.StatusOK && said.Err() != nil {
				t.Errorf("an answer that cannot be understood: %q", said.Body)
			}
		}
	})
}
