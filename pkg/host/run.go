package host

import (
	"context"
	"io"
	"time"
)

// Runner starts programs. It is the only way a resource type starts one.
type Runner interface {
	// Run starts a program and waits for it. A program that ran and exited with another status than 0 is not an
	// error: see Result.Code. When ctx ends, the whole process group is ended: TERM, then KILL.
	Run(ctx context.Context, c Command) (Result, error)
	// Find returns the path of an executable as the search path of the machine gives it; ErrNotFound if there is
	// none.
	Find(name string) (string, error)
}

// A Command is a program to start. There is no shell unless Argv names one.
type Command struct {
	Argv  []string
	Dir   string    // working directory; "/" if empty
	Env   []string  // added to a minimal environment: PATH, LANG=C.UTF-8, HOME
	Stdin io.Reader // nothing if nil
	User  string    // runs as this user if not empty
	Umask string    // such as "0022"; inherited if empty
	Limit int       // bytes of output kept of each stream, the last ones; 64 KiB if 0
}

// A Result is how a program ended.
type Result struct {
	Code     int // exit status; 128+n when signal n ended it
	Stdout   []byte
	Stderr   []byte
	Duration time.Duration
}

// Fetcher gets content from a URL.
type Fetcher interface {
	// Fetch copies what was asked for to w and returns the number of bytes. ErrNotFound for 404
	// and 410, ErrRange for content that is not longer than what is not wanted of it.
	Fetch(ctx context.Context, q Request, w io.Writer) (int64, error)
}

// A Request asks for the content at a URL.
type Request struct {
	URL    string
	Header map[string]string
	Limit  int64 // more bytes than that in the whole content are an error; 1 GiB if 0
	From   int64 // how many bytes at the beginning are not wanted; a server is not sure to have as many
}
