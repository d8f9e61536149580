package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/identity"
)

// A batch is several check-ins that a hub hands on in one request: POST /v1/checkins with JSON lines (https://jsonlines.org), two for
// each check-in. The first holds what are headers in a request of its own (batchHead), the second is the body, byte for byte as the
// node signed it for POST /v1/checkin. The answer has one line for each check-in, in the same order (batchAnswer). Every line ends
// with a line feed.

// The limits of a batch.
const (
	MaxCheckIns = 64        // check-ins in it
	MaxBatch    = 512 << 10 // bytes
)

const (
	checkInPath = "/v1/checkin"
	batchPath   = "/v1/checkins"
	jsonLines   = "application/jsonl"
)

// batchHead is what a hub says of a check-in, and the headers of the node; see [Relayed].
type batchHead struct {
	Digest    string    `json:"digest"`
	Input     string    `json:"input"`
	Signature string    `json:"signature"`
	Received  time.Time `json:"received"`
	Hub       string    `json:"hub"`
}

// batchAnswer is what was said to a check-in, as it would have been to a request of its own.
type batchAnswer struct {
	Status int             `json:"status"`
	Retry  int             `json:"retry,omitempty"` // header Retry-After
	Body   json.RawMessage `json:"body"`
}

// fitsBatch is whether a request can be part of a batch.
func fitsBatch(r Relayed) bool {
	return r.Path == checkInPath && len(r.Body) <= MaxSmall && bytes.IndexByte(r.Body, '\n') < 0 && written(r.Received) &&
		max(len(r.Digest), len(r.Input), len(r.Signature), len(r.Hub)) <= identity.MaxHeader
}

// written is whether a time can be written: in UTC, in a year of four digits. One that can be read may fall out of those by its zone.
func written(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 0 && year < 10_000
}

// appendCheckIn adds a check-in that fits to a batch.
func appendCheckIn(batch []byte, r Relayed) ([]byte, error) {
	head, err := json.Marshal(batchHead{r.Digest, r.Input, r.Signature, r.Received.UTC(), r.Hub})
	if err != nil {
		return nil, fmt.Errorf("encoding a check-in for a batch: %w", err)
	}
	batch = append(append(batch, head...), '\n')
	return append(append(batch, r.Body...), '\n'), nil
}

// parseBatch reads a batch. The bodies are parts of data. What is wrong with the frame is wrong with all; what is in it is not
// looked at.
func parseBatch(data []byte) ([]Relayed, error) {
	all := make([]Relayed, 0, MaxCheckIns)
	for n := 1; len(data) > 0; n++ {
		if n > MaxCheckIns {
			return nil, Refuse(ErrTooLarge, "more than %d check-ins in a batch", MaxCheckIns)
		}
		first, rest, _ := bytes.Cut(data, []byte{'\n'})
		body, rest, whole := bytes.Cut(rest, []byte{'\n'})
		if !whole {
			return nil, Refuse(ErrBadRequest, "check-in %d of the batch: want two lines, each with its end", n)
		}
		head, usual := usualHead(first)
		if !usual {
			head = batchHead{}
			if err := json.Unmarshal(first, &head); err != nil {
				return nil, Refuse(ErrBadRequest, "check-in %d of the batch: %s", n, err)
			}
		}
		if !written(head.Received) {
			return nil, Refuse(ErrBadRequest, "check-in %d of the batch: it was received at no time that there is", n)
		}
		all = append(all, Relayed{Path: checkInPath, Digest: head.Digest, Input: head.Input, Signature: head.Signature, Received: head.Received.UTC(), Hub: head.Hub, Body: body})
		data = rest
	}
	if len(all) == 0 {
		return nil, Refuse(ErrBadRequest, "the batch has no check-in")
	}
	return all, nil
}

// usualHead reads a head as appendCheckIn writes it, in a fifth of the time that encoding/json takes. It reports false for any other,
// which may be right and may be wrong.
func usualHead(line []byte) (h batchHead, ok bool) {
	var received string
	for _, field := range [...]struct {
		before string
		text   *string
	}{{`{"digest":"`, &h.Digest}, {`","input":"`, &h.Input}, {`","signature":"`, &h.Signature}, {`","received":"`, &received}, {`","hub":"`, &h.Hub}} {
		if line, ok = bytes.CutPrefix(line, []byte(field.before)); !ok {
			return h, false
		}
		if *field.text, line, ok = usualText(line); !ok {
			return h, false
		}
	}
	return h, string(line) == `"}` && h.Received.UnmarshalText([]byte(received)) == nil
}

// usualText reads a text of JSON up to the quotation mark at its end. It takes no escapes but those of quotation marks.
func usualText(data []byte) (text string, rest []byte, ok bool) {
	escaped := 0
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			if text = string(data[:i]); escaped > 0 {
				text = strings.ReplaceAll(text, `\"`, `"`)
			}
			return text, data[i:], true
		case c == '\\' && i+1 < len(data) && data[i+1] == '"':
			escaped++
			i++
		case c == '\\' || c < ' ' || c > '~':
			return "", nil, false
		}
	}
	return "", nil, false
}

// lines is an answer in JSON lines.
type lines []byte

// add adds what is said to one check-in: a JSON document.
func (l lines) add(status, retry int, body []byte) lines {
	l = strconv.AppendInt(append(l, `{"status":`...), int64(status), 10)
	if retry > 0 {
		l = strconv.AppendInt(append(l, `,"retry":`...), int64(retry), 10)
	}
	return append(append(append(l, `,"body":`...), body...), "}\n"...)
}

// refuse adds a refusal.
func (l lines) refuse(e *Error) (lines, error) {
	body, err := json.Marshal(refusalBody{e})
	if err != nil {
		return l, fmt.Errorf("refusing a check-in: %w", err)
	}
	return l.add(e.Status, int(e.Retry/time.Second), body), nil
}

// parseAnswers reads what was said to a batch of n check-ins.
func parseAnswers(data []byte, n int) ([]Said, error) {
	all := make([]Said, 0, n)
	for len(data) > 0 && len(all) < n {
		line, rest, whole := bytes.Cut(data, []byte{'\n'})
		var one batchAnswer
		if err := json.Unmarshal(line, &one); err != nil || !whole || one.Status < 100 || one.Status > 999 || len(one.Body) == 0 {
			return nil, fmt.Errorf("%w: answer %d of a batch cannot be understood", ErrUnreachable, len(all)+1)
		}
		said := Said{Status: one.Status, Body: one.Body}
		if one.Retry > 0 {
			said.Retry = strconv.Itoa(one.Retry)
		}
		all, data = append(all, said), rest
	}
	if len(all) != n || len(data) > 0 {
		return nil, fmt.Errorf("%w: it did not answer each of %d check-ins with a line", ErrUnreachable, n)
	}
	return all, nil
}

// ofBatch is whether a server has not taken a batch, and may take its check-ins one by one: it is an older one, or has other limits.
func ofBatch(said answer) bool {
	return strings.Contains(" 400 404 405 413 415 ", " "+strconv.Itoa(said.status)+" ")
}
