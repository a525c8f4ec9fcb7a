// Package startup starts clusters in every way that operators do: in any order,
// with pauses, with restarts in between, with mistakes in the configuration. A
// cluster takes writes within a second of having enough brokers, or its brokers
// say what is wrong.
package startup

import (
	"flag"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/harness"
)

var (
	all   = flag.Bool("startup.all", false, "start five brokers in all 120 orders, with delays of up to 10 s")
	seed  = flag.Uint64("startup.seed", 0, "seed of orders and delays; 0 is a new one")
	limit = flag.Duration("startup.limit", 5*time.Second, "how long the first acks=all may take once enough brokers listen; it takes less than 1s on a quiet machine")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = rand.Uint64() >> 1
	}
	os.Exit(harness.Main(m))
}

// longestDelay is the longest pause between two starts.
func longestDelay() time.Duration {
	if *all {
		return 10 * time.Second
	}
	return time.Second
}
