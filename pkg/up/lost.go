package up

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
)

// keysThere refuses a data folder without keys when nodes have pinned a root document already: new keys would be made, and every node
// would refuse what they sign.
func (s *Stack) keysThere(ctx context.Context) error {
	name := filepath.Join(s.Data, keysDir, controller.RootName)
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return nil // or what reads it says why it cannot
	}
	nodes, err := s.db.Nodes(ctx)
	if err != nil || len(nodes) == 0 {
		return err
	}
	return fault.WithHint(fmt.Errorf("opening the keys: there is no %s, and the nodes of this service (%d) trust one", name, len(nodes)),
		`put the backup of the folder keys there; if there is none, docs/trust.md says what to do ("When keys are lost")`)
}

// marks are the numbers of pointers that a report service knows.
func marks(notes []report.ChannelNote) map[string]controller.Mark {
	known := map[string]controller.Mark{}
	for _, n := range notes {
		epoch, seq, _ := strings.Cut(n.Pointer, ".")
		m := controller.Mark{Issued: n.Issued}
		var err1, err2 error
		m.Epoch, err1 = strconv.ParseInt(epoch, 10, 64)
		m.Seq, err2 = strconv.ParseInt(seq, 10, 64)
		if err1 == nil && err2 == nil { // otherwise nothing was published
			known[n.Channel] = m
		}
	}
	return known
}
