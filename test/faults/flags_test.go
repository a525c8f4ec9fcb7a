//go:build faults && linux

package faults

import (
	"flag"
	"time"
)

// Flags make the tests longer than a run of the build server has time for.
var frozen = flag.Duration("frozen", 8*time.Second, "how long a frozen leader stays frozen after the others have gone on")
