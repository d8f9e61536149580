package host

import "time"

// Clock tells the time of a machine.
type Clock interface{ Now() time.Time }
