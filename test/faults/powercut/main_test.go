//go:build faults && linux

package powercut

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/chronik-project/chronik/test/faults/disk"
)

var (
	cuts  = flag.Int("cuts", 50, "power cuts in TestPowerCuts")
	disks = flag.Int("disks", 2, "disks that are cut at the same time")
	seed  = flag.Uint64("seed", 1, "seed of the moments of the cuts and of what is written")
)

// orderVariable holds the order of a process that is to be the writer.
const orderVariable = "CHRONIK_POWERCUT_WRITER"

func TestMain(m *testing.M) {
	text := os.Getenv(orderVariable)
	if text == "" {
		os.Exit(disk.Private(m.Run))
	}
	var o order
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = write(o, os.Stdout)
	}
	_, _ = fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
