package vigocmd

import (
	"encoding/csv"
	"errors"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/cli"
)

// csvFormat is a table for programs that calculate.
const csvFormat cli.Format = "csv"

// writeCSV writes a table as comma-separated values (RFC 4180).
func writeCSV(env *cli.Env, head []string, rows [][]string) error {
	w := csv.NewWriter(env.Stdout)
	faults := []error{w.Write(head)}
	for _, row := range rows {
		row = slices.Clone(row)
		for i := range row {
			row[i] = inert(row[i])
		}
		faults = append(faults, w.Write(row))
	}
	w.Flush()
	return errors.Join(append(faults, w.Error())...)
}

// inert is a cell that no spreadsheet takes for a formula: nodes decide what stands in it. A quote in front makes it text, as
// OWASP has it (CSV Injection); numbers stay as they are.
func inert(cell string) string {
	if cell == "" || !strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(cell)[0]) {
		return cell
	}
	if _, err := strconv.ParseFloat(cell, 64); err == nil {
		return cell
	}
	return "'" + cell
}
