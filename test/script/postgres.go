package script

import (
	"context"
	"fmt"
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"vigo.dev/test/postgres"
)

// startPostgres runs a PostgreSQL server with an empty database of a name, and puts its address into DATABASE.
func startPostgres(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: postgres DATABASE")
	}
	server, err := postgres.New(context.Background(), os.TempDir())
	ts.Check(err)
	ts.Defer(func() { ts.Check(server.Remove()) })
	address, err := server.Database(context.Background(), args[0])
	ts.Check(err)
	ts.Setenv("DATABASE", address)
}

// condition is what scripts ask for in brackets.
func condition(name string) (bool, error) {
	if name == "postgres" { // where there has to be one, its lack is an error and no reason to skip
		return postgres.Installed() || os.Getenv("VIGO_POSTGRES") != "", nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}
