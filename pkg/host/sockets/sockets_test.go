package sockets_test

import (
	"testing"

	"vigo.dev/pkg/host/sockets"
)

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1001 1 0000 100 0 0 10 0
   1: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1002 1 0000 100 0 0 10 0
   2: 0100007F:18EB 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 1003 1 0000 100 0 0 10 0
`

// Connections are no listeners.
func TestParse(t *testing.T) {
	t.Parallel()
	got, err := sockets.Parse("tcp", table)
	if err != nil || len(got) != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	if s := got[0]; s.Key() != "tcp/22" || s.Addr.String() != "0.0.0.0:22" || s.Inode != "1001" || !s.Public() {
		t.Errorf("the first is %+v", s)
	}
	if s := got[1]; s.Key() != "tcp/6379" || s.Addr.String() != "127.0.0.1:6379" || s.Inode != "1002" || s.Public() {
		t.Errorf("the second is %+v", s)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(table)
	f.Add("0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 07 0 0 0 0 0 7 x\n")
	f.Add("0: 00:0016 0:0 0A 0 0 0 0 0 7 x\n")
	f.Fuzz(func(t *testing.T, table string) {
		for _, protocol := range []string{"tcp", "udp"} {
			got, err := sockets.Parse(protocol, table)
			if err != nil && got != nil {
				t.Error("sockets beside an error")
			}
			for _, s := range got {
				if !s.Addr.IsValid() || s.Addr.Port() == 0 || s.Inode == "" {
					t.Errorf("socket %+v", s)
				}
			}
		}
	})
}
