package up

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/sqlstore"
)

// storeFile is the store in a data folder.
const storeFile = "report.db"

// openStore opens the database at an address, or the file in the data folder if it is "".
func openStore(ctx context.Context, data, address string) (*sqlstore.DB, error) {
	if address == "" {
		return sqlstore.Open(ctx, filepath.Join(data, storeFile), sqlstore.Options{})
	}
	return sqlstore.OpenPostgres(ctx, address, sqlstore.Options{})
}

// CopyStore copies the store of a data folder whose service does not run to an empty PostgreSQL database; tell is called
// after each table with its rows.
func CopyStore(ctx context.Context, data, address string, tell func(table string, rows int64)) (err error) {
	path := filepath.Join(data, storeFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fault.WithHint(fmt.Errorf("copying the store: there is none in %s", data), "--data is the data folder of the service")
	}
	lock, err := LockData(data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if err := restored(data); err != nil {
		return err
	}
	from, err := sqlstore.Open(ctx, path, sqlstore.Options{})
	if err != nil {
		return err
	}
	return errors.Join(from.CopyTo(ctx, address, tell), from.Close())
}
