package resources

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// xmlElement is an element and where it stands in the text.
type xmlElement struct {
	name       string
	attrs      []xmlAttr
	children   []*xmlElement
	text       string // of its own, without white space around it
	start, end int
	from, to   int  // what is inside
	alone      bool // <name/>
	parent     *xmlElement
}

// xmlAttr is an attribute.
type xmlAttr struct {
	name, value string
	start, end  int // with the white space before it
	from, to    int // the value without its quotes
	quote       byte
}

const maxXMLDepth = 1000

// readXML reads a document: the decoder checks it, its offsets say where things are.
func readXML(text string) (*xmlElement, error) {
	d := xml.NewDecoder(strings.NewReader(text))
	d.CharsetReader = func(charset string, r io.Reader) (io.Reader, error) {
		if c := strings.ToLower(charset); c == "us-ascii" || c == "ascii" {
			return r, nil
		}
		return nil, fmt.Errorf("the file is in %s: only UTF-8 is edited", charset)
	}
	var root, at *xmlElement
	depth := 0
	for {
		start := int(d.InputOffset())
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		end := int(d.InputOffset())
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; depth > maxXMLDepth {
				return nil, fmt.Errorf("more than %d levels of elements", maxXMLDepth)
			}
			e := &xmlElement{name: rawName(t.Name), start: start, from: end, parent: at}
			e.alone = strings.HasSuffix(text[start:end], "/>")
			if e.attrs, err = xmlAttrs(text, start, end, t); err != nil {
				return nil, err
			}
			if at != nil {
				at.children = append(at.children, e)
			} else if root != nil {
				return nil, errors.New("there is more than one root element")
			} else {
				root = e
			}
			at = e
		case xml.EndElement:
			if depth--; at == nil || at.name != rawName(t.Name) {
				line, _ := d.InputPos()
				return nil, fmt.Errorf("line %d: </%s> where another end was due", line, rawName(t.Name))
			}
			at.to, at.end = start, end
			at.text = strings.TrimSpace(at.text)
			at = at.parent
		case xml.CharData:
			if at != nil {
				at.text += string(t)
			}
		}
	}
	if root == nil || at != nil {
		return nil, errors.New("the document is not whole: an element is missing or not ended")
	}
	return root, nil
}

func rawName(n xml.Name) string {
	if n.Space != "" {
		return n.Space + ":" + n.Local
	}
	return n.Local
}

var xmlAttrText = regexp.MustCompile(`\s+([^\s=/>"']+)\s*=\s*("[^"]*"|'[^']*')`)

// xmlAttrs finds the attributes of a start tag in the text.
func xmlAttrs(text string, start, end int, t xml.StartElement) ([]xmlAttr, error) {
	found := xmlAttrText.FindAllStringSubmatchIndex(text[start:end], -1)
	if len(found) != len(t.Attr) {
		return nil, fmt.Errorf("the attributes of %s have a form that is not understood", rawName(t.Name))
	}
	var attrs []xmlAttr
	for n, m := range found {
		a := xmlAttr{name: text[start+m[2] : start+m[3]], value: t.Attr[n].Value, start: start + m[0], end: start + m[1],
			from: start + m[4] + 1, to: start + m[5] - 1, quote: text[start+m[4]]}
		if a.name != rawName(t.Attr[n].Name) {
			return nil, fmt.Errorf("the attribute %s of %s has a form that is not understood", a.name, rawName(t.Name))
		}
		attrs = append(attrs, a)
	}
	return attrs, nil
}

func (e *xmlElement) attr(name string) *xmlAttr {
	for n := range e.attrs {
		if e.attrs[n].name == name {
			return &e.attrs[n]
		}
	}
	return nil
}

// withAttr sets an attribute.
func (e *xmlElement) withAttr(text, name, value string) string {
	if a := e.attr(name); a != nil {
		if a.value == value {
			return text
		}
		return text[:a.from] + escapeXML(value) + text[a.to:]
	}
	at := e.start + 1 + len(e.name)
	if n := len(e.attrs); n > 0 {
		at = e.attrs[n-1].end
	}
	return text[:at] + " " + name + `="` + escapeXML(value) + `"` + text[at:]
}

func (e *xmlElement) withoutAttr(text, name string) string {
	if a := e.attr(name); a != nil {
		return text[:a.start] + text[a.end:]
	}
	return text
}

// withText gives an element a text.
func (e *xmlElement) withText(text, value string) string {
	if !e.alone {
		return text[:e.from] + escapeXML(value) + text[e.to:]
	}
	return e.open(text, escapeXML(value))
}

// open puts something into an element <name/>.
func (e *xmlElement) open(text, inside string) string {
	tag := strings.TrimRight(strings.TrimSuffix(text[e.start:e.from], "/>"), " \t\n")
	return text[:e.start] + tag + ">" + inside + "</" + e.name + ">" + text[e.from:]
}

// withChild makes what is missing of a path: behind the last element inside, on a line of its own.
func (e *xmlElement) withChild(text string, rest []xmlStep, value *string) (string, error) {
	own := indentAt(text, e.start)
	indent, unit := own+"  ", "  "
	if len(e.children) > 0 {
		last := e.children[len(e.children)-1]
		indent = indentAt(text, last.start)
		unit = strings.TrimPrefix(indent, own)
	} else if e.parent != nil && e.parent.parent == nil {
		if width := strings.TrimPrefix(own, indentAt(text, e.parent.start)); width != "" {
			indent, unit = own+width, width
		}
	}
	fresh, err := renderXMLPath(rest, value, indent, unit)
	switch {
	case err != nil:
		return "", err
	case len(e.children) > 0:
		at := e.children[len(e.children)-1].end
		return text[:at] + "\n" + indent + fresh + text[at:], nil
	case e.alone:
		return e.open(text, "\n"+indent+fresh+"\n"+own), nil
	}
	at := e.from + len(strings.TrimRight(text[e.from:e.to], " \t\n"))
	return text[:at] + "\n" + indent + fresh + "\n" + own + text[e.to:], nil
}

// without removes an element, with its line if it has one of its own.
func (e *xmlElement) without(text string) string {
	start, end := e.start, e.end
	line := start - len(indentAt(text, start))
	if (line == 0 || text[line-1] == '\n') && end < len(text) && strings.HasPrefix(strings.TrimLeft(text[end:], " \t"), "\n") {
		start, end = line, endOfLine(text, end)
	}
	return text[:start] + text[end:]
}

// indentAt is the white space before an offset, in its line.
func indentAt(text string, at int) string {
	from := len(strings.TrimRight(text[:at], " \t"))
	return text[from:at]
}

func escapeXML(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;", "\n", "&#10;", "\r", "&#13;", "\t", "&#9;").Replace(s)
}

// isXMLText is whether XML can hold a text, and gives it back as it was.
func isXMLText(s string) bool {
	if strings.TrimSpace(s) != s || !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == '\ufffe' || r == '\uffff'
	})
}
