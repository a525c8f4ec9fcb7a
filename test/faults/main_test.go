//go:build faults && linux

package faults

import (
	"flag"
	"os"
	"testing"

	"github.com/chronik-project/chronik/test/faults/host"
)

var worlds = flag.Int("worlds", 2, "how many tests run at the same time, each in a world of its own; long forms run one by one")

func TestMain(m *testing.M) {
	flag.Parse()
	n := *worlds
	if *long { // which measure times
		n = 1
	}
	os.Exit(host.MainOf(m, n))
}
