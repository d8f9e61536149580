package deliver

import (
	"bytes"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"
	"unicode"

	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/report"
)

// What is shown of one notice; a webhook has it all.
const (
	mailFindings = 10
	mailWidth    = 200 // of a text from a node
)

// message is a notice as mail. What comes from nodes is in encoded words and in a quoted body alone, so that none of it can
// become a header or another mail.
func (m *mailer) message(n report.Notice) []byte {
	var b bytes.Buffer
	head := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	head("From", m.from.String())
	head("To", addresses(m.to))
	head("Subject", mime.QEncoding.Encode("utf-8", subject(n)))
	head("Date", n.At.UTC().Format(time.RFC1123Z))
	head("Message-ID", messageID(n.ID, n.Fleet))
	if len(n.Transitions) == 1 { // programs for mail show what belongs together
		head("References", messageID(n.Transitions[0].Alert, n.Fleet))
	}
	head("Auto-Submitted", "auto-generated")
	head("MIME-Version", "1.0")
	head("Content-Type", "text/plain; charset=utf-8")
	head("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.ReplaceAll(body(n), "\n", "\r\n"))) // into memory
	_ = w.Close()
	return b.Bytes()
}

func addresses(list []*mail.Address) string {
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = a.String()
	}
	return strings.Join(texts, ",\r\n ")
}

// messageID holds letters that an ID may have, and no others.
func messageID(id, fleet string) string {
	keep := func(r rune) rune {
		if r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-.", r)) {
			return r
		}
		return '-'
	}
	return "<" + strings.Map(keep, id) + "@" + strings.Map(keep, fleet) + ".vigo>"
}

// line is text from anywhere in one line.
func line(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	return excerpt.Of(text, mailWidth)
}

func subject(n report.Notice) string {
	if n.Digest || len(n.Transitions) != 1 {
		begun := 0
		for _, t := range n.Transitions {
			if t.Kind != "resolved" && t.Kind != "released" {
				begun++
			}
		}
		return line(fmt.Sprintf("[%s] %d more: %d firing, %d resolved", n.Fleet, len(n.Transitions), begun, len(n.Transitions)-begun))
	}
	return line(fmt.Sprintf("[%s] %s", n.Fleet, summary(n.Transitions[0])))
}

// summary is a transition in one line.
func summary(t report.Transition) string {
	text := fmt.Sprintf("%s %s: %s %s", strings.ToUpper(t.Kind), t.Severity, t.Rule, t.Group)
	if t.Count > 1 {
		text += fmt.Sprintf(" (%d)", t.Count)
	}
	return line(text)
}

func body(n report.Notice) string {
	var b strings.Builder
	if n.Digest || len(n.Transitions) != 1 { // each in a line, so that a name can be searched for
		for _, t := range n.Transitions {
			fmt.Fprintf(&b, "%s  %s\n", t.At.UTC().Format("15:04:05"), summary(t))
		}
	} else {
		detail(&b, n.Transitions[0])
	}
	b.WriteString("\nvigo alert list shows what there is now.\n")
	return b.String()
}

func detail(b *strings.Builder, t report.Transition) {
	fmt.Fprintf(b, "%s\nsince %s\n", summary(t), t.Since.UTC().Format("2006-01-02 15:04:05 UTC"))
	if t.About != "" {
		fmt.Fprintf(b, "%s\n", line(t.About))
	}
	shown := t.Findings[:min(len(t.Findings), mailFindings)]
	for _, f := range shown {
		fmt.Fprintf(b, "  %s  %s\n", line(f.Subject), line(f.Text))
	}
	if more := t.Count - len(shown); more > 0 && len(shown) > 0 {
		fmt.Fprintf(b, "  and %d more\n", more)
	}
}
