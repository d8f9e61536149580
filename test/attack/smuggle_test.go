package attack

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"vigo.dev/test/programs"
)

// A rawAttack is bytes that two readers may take for different requests, or that are to cost the service something. It is answered
// once, and the connection ends: what follows is never taken for a request.
type rawAttack struct {
	name, does, want string // want is the status
	raw              string
}

// next is what would be answered if it were taken for a request.
const next = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

// long is more than a header, or a body of the API, may have.
var long = strings.Repeat("a", 128<<10)

func post(lines ...string) string {
	return "POST /v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

func rawAttacks() []rawAttack {
	return []rawAttack{
		{"smuggle-both-lengths", "gives a body two lengths, by count and by chunks", "411", post("Content-Length: 4", "Transfer-Encoding: chunked") + "0\r\n\r\n" + next},
		{"smuggle-both-lengths-reversed", "the same the other way round", "411", post("Transfer-Encoding: chunked", "Content-Length: 40") + "0\r\n\r\n" + next},
		{"smuggle-chunks", "sends a body in chunks, whose end is a matter of opinion", "411", post("Transfer-Encoding: chunked") + "2;\n;x\r\n{}\r\n0\r\nX: y\r\n\r\n" + next},
		{"smuggle-chunk-size", "sends a chunk whose length is more than a number can be", "411", post("Transfer-Encoding: chunked") + "10000000000000002\r\n{}\r\n0\r\n\r\n" + next},
		{"smuggle-folded", "folds the line that says so", "411", post("Transfer-Encoding:", " chunked") + "0\r\n\r\n" + next},
		{"smuggle-blank", "puts a blank before the colon", "400", post("Transfer-Encoding : chunked") + "0\r\n\r\n" + next},
		{"smuggle-unknown-coding", "names a coding that only some know", "501", post("Transfer-Encoding: xchunked") + "0\r\n\r\n" + next},
		{"smuggle-two-codings", "names two codings", "501", post("Transfer-Encoding: chunked, identity") + "0\r\n\r\n" + next},
		{"smuggle-coding-twice", "names the coding twice", "501", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + "0\r\n\r\n" + next},
		{"smuggle-two-counts", "gives a body two counts", "400", post("Content-Length: 2", "Content-Length: 40") + "{}" + next},
		{"smuggle-list-of-counts", "gives a body a list of counts", "400", post("Content-Length: 2, 40") + "{}" + next},
		{"smuggle-signed-count", "gives a body a count with a sign", "400", post("Content-Length: +2") + "{}" + next},
		{"smuggle-negative-count", "gives a body a count below nothing", "400", post("Content-Length: -1") + next},
		{"smuggle-hex-count", "gives a body a count in another notation", "400", post("Content-Length: 0x2") + "{}" + next},
		{"smuggle-huge-count", "gives a body a count that no number holds", "400", post("Content-Length: 18446744073709551618") + "{}" + next},
		{"smuggle-old-version", "keeps a connection alive in a version that knows no chunks", "401", strings.Replace(post("Connection: keep-alive", "Transfer-Encoding: chunked"), "POST /v1/enroll HTTP/1.1", "GET /v1/status HTTP/1.0", 1) + "0\r\n\r\n" + next},
		{"two-hosts", "names two hosts", "400", "GET /v1/status HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + next},
		{"no-host", "names none", "400", "GET /v1/status HTTP/1.1\r\n\r\n" + next},
		{"nul-in-header", "hides the end of a line", "400", "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n" + next},
		{"return-in-header", "hides a line in a line", "400", "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: a\rContent-Length: 5\r\n\r\n" + next},
		{"new-version", "speaks of a version that is not spoken", "400", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + next},
		{"header-too-long", "sends a header of 128 KiB", "431", "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + long + "\r\n\r\n" + next},
		{"address-too-long", "asks for an address of 128 KiB", "431", "GET /v1/" + long + " HTTP/1.1\r\nHost: x\r\n\r\n" + next},
		{"body-too-long", "sends a body of 128 KiB where 64 are allowed", "413", post("Connection: close", fmt.Sprintf("Content-Length: %d", len(long))) + long + next},
		{"body-announced-too-long", "announces a body of 1 TiB, and begins", "413", post("Content-Length: 1099511627776") + long},
		{"proxy", "takes the service for a proxy", "405", "CONNECT db.example.com:5432 HTTP/1.1\r\nHost: db.example.com\r\n\r\n" + next},
	}
}

func TestRaw(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	n := f.join(t, "web-1", channel)
	before := n.record()
	t.Run("attacks", func(t *testing.T) {
		for _, a := range rawAttacks() {
			t.Run(a.name, func(t *testing.T) {
				t.Parallel()
				answers := f.sendRaw(t, a.raw)
				if len(answers) != 1 || answers[0] != a.want {
					t.Errorf("it was answered %q, want %s once", answers, a.want)
				}
			})
		}
	})
	if answers := f.sendRaw(t, next+strings.Replace(next, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)); len(answers) != 2 || answers[0] != "200" || answers[1] != "200" {
		t.Errorf("two good requests after each other are answered %q", answers)
	}
	if n.record().Bundle != before.Bundle {
		t.Error("what the service knows of the node was changed")
	}
}

// sendRaw sends bytes over a connection of its own, and returns the statuses of all answers until the service ends it.
func (f *fleet) sendRaw(t *testing.T, raw string) (statuses []string) {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(f.service, "https://"), &tls.Config{InsecureSkipVerify: true}) // what it is asked is no secret
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(programs.Patience)); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { _, err := io.WriteString(conn, raw); sent <- err }() // the service need not read all of it
	data, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is open still, after %q", data)
	}
	var reset *net.OpError
	if err := <-sent; err != nil && !errors.As(err, &reset) {
		t.Logf("sending: %v", err)
	}
	for _, status := range regexp.MustCompile(`HTTP/1\.[01] (\d{3}) `).FindAllSubmatch(data, -1) {
		statuses = append(statuses, string(status[1]))
	}
	return statuses
}
