package trust

import (
	"os"
	"testing"

	"vigo.dev/test/programs"
)

func TestMain(m *testing.M) { os.Exit(programs.Main(m)) }
