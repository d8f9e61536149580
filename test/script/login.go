package script

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"vigo.dev/pkg/signin/signintest"
)

// identityProvider is under what key an environment keeps what `issuer` started.
type identityProvider struct{}

// issuer starts an identity provider whose one person has the claims in a file. ISSUER is its address, issuer.pem its
// certificate.
func issuer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: issuer CLAIMS-FILE")
	}
	var claims map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &claims))
	if known, ok := ts.Value(identityProvider{}).(**signintest.Issuer); ok && *known != nil {
		(*known).Be(claims)
		return
	}
	provider, err := signintest.New(claims, time.Now)
	ts.Check(err)
	ts.Defer(provider.Close)
	*ts.Value(identityProvider{}).(**signintest.Issuer) = provider
	ts.Setenv("ISSUER", provider.URL)
	ts.Check(os.WriteFile(ts.MkAbs("issuer.pem"), provider.CAPEM(), 0o600))
}

// browse runs a program that shows an address to open in a browser, opens it as a person would, and prints what the program
// printed. With ! the program must fail.
func browse(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 {
		ts.Fatalf("usage: browse PROGRAM ARG...")
	}
	provider := *ts.Value(identityProvider{}).(**signintest.Issuer)
	cmd := command(ts, args[0], args[1:])
	var out strings.Builder
	cmd.Stdout = &out
	said, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	var text strings.Builder
	link, code := regexp.MustCompile(`https://\S+`), regexp.MustCompile(`enter the code\n  (\S+)\n`)
	opened := false
	for s := bufio.NewScanner(said); s.Scan(); {
		text.WriteString(s.Text() + "\n")
		url := link.FindString(text.String())
		if m := code.FindStringSubmatch(text.String()); m != nil {
			url += "?code=" + m[1]
		} else if strings.Contains(text.String(), "enter the code") {
			continue
		}
		if url == "" || opened {
			continue
		}
		opened = true
		resp, err := provider.Client().Get(url)
		ts.Check(err)
		_, err = io.Copy(io.Discard, resp.Body)
		ts.Check(err)
		ts.Check(resp.Body.Close())
		if resp.StatusCode != http.StatusOK {
			ts.Fatalf("the browser was answered %s", resp.Status)
		}
	}
	err = cmd.Wait()
	ts.Logf("%s%s", text.String(), out.String())
	if (err != nil) != neg {
		ts.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	ts.Check(os.WriteFile(ts.MkAbs("browsed"), []byte(text.String()+out.String()), 0o600))
}
