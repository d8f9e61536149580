package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"vigo.dev/pkg/fault"
)

// A Reply is what a webhook says that was asked something.
type Reply struct {
	Verdict string        // its own word; never empty
	Reason  string        // for people, at most 300 bytes
	After   time.Duration // it wants to be asked again then at the soonest; 0: it does not say
}

const (
	maxReply  = 16 << 10
	maxReason = 300
)

// Ask asks a webhook something, and returns what it says. The request is signed as all are, and the same question has the same ID.
// Whatever is not a 2xx answer with a JSON document that has a verdict is an error.
func (s *Service) Ask(ctx context.Context, name, id string, question any) (Reply, error) {
	sender, known := s.Senders[name]
	if !known {
		return Reply{}, fault.WithHint(fmt.Errorf("the report service knows no webhook %q", name), "name it under receivers in the file of --alerts")
	}
	p, ok := sender.(*poster)
	if !ok {
		return Reply{}, fmt.Errorf("%s takes mail: only webhooks can be asked", name)
	}
	body, err := json.Marshal(question)
	if err != nil {
		return Reply{}, fmt.Errorf("writing the question: %w", err)
	}
	return p.ask(ctx, id, body)
}

func (p *poster) ask(ctx context.Context, id string, body []byte) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := p.do(ctx, id, body)
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	data, readErr := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	var after time.Duration
	if err := p.judge(resp); err != nil {
		if f, ok := errors.AsType[*Failure](err); ok {
			after = f.After
		}
		return Reply{After: after}, err
	}
	if readErr != nil {
		return Reply{}, fmt.Errorf("reading the answer of %s: %w", p.host, p.unreached(readErr))
	}
	reply, err := parseReply(data)
	if err != nil {
		return Reply{}, fmt.Errorf("reading the answer of %s: %w", p.host, err)
	}
	return reply, nil
}

// parseReply reads {"verdict": "…", "reason": "…", "after": seconds}. What else is in there is for others.
func parseReply(data []byte) (Reply, error) {
	if len(data) > maxReply {
		return Reply{}, fmt.Errorf("it has more than %d bytes", maxReply)
	}
	var doc struct {
		Verdict string  `json:"verdict"`
		Reason  string  `json:"reason"`
		After   float64 `json:"after"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return Reply{}, fmt.Errorf("it is not the JSON document that was asked for: %w", err)
	}
	if doc.Verdict == "" || len(doc.Verdict) > 20 {
		return Reply{}, errors.New("it has no verdict")
	}
	r := Reply{Verdict: doc.Verdict, Reason: oneLine(doc.Reason, maxReason)}
	if doc.After > 0 {
		r.After = time.Duration(min(doc.After, longest.Seconds()) * float64(time.Second))
	}
	return r, nil
}

// oneLine makes of a text one line of at most so many bytes, without control characters.
func oneLine(text string, most int) string {
	clean := make([]rune, 0, min(len(text), most))
	size := 0
	for _, c := range text {
		if c < ' ' || c == 0x7f || c == 0x2028 || c == 0x2029 || c >= 0x80 && c < 0xa0 {
			c = ' '
		}
		if size += len(string(c)); size > most {
			break
		}
		clean = append(clean, c)
	}
	return string(clean)
}
