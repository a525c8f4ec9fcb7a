//go:build faults && linux

package faults

import (
	"flag"
	"time"

	"github.com/chronik-project/chronik/test/faults/load"
)

// Flags make the tests longer than a run of the build server has time for.
var (
	frozen = flag.Duration("frozen", 8*time.Second, "how long a frozen leader stays frozen after the others have gone on")
	cuts   = flag.Int("cuts", 3, "power cuts of each test with power cuts")
)

// heavy is a load that disks notice: 2 MB a second.
func heavy() load.Config {
	return load.Config{Idempotent: 2, Direct: 1, Rate: 500, ValueBytes: 2048}
}
