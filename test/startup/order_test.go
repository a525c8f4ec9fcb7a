package startup

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chronik-project/chronik/test/harness"
)

// TestStartInAnyOrder starts brokers with new directories one after the other,
// with random pauses. A majority of the voters is a cluster that takes writes,
// whichever they are, and so is the rest as soon as it is there.
func TestStartInAnyOrder(t *testing.T) {
	for _, size := range []int{3, 5} {
		orders := permutations(size)
		r := random(t, uint64(size))
		r.Shuffle(len(orders), func(i, j int) { orders[i], orders[j] = orders[j], orders[i] })
		if size == 5 && !*all {
			orders = orders[:3]
		}
		for _, order := range orders {
			delays := make([]time.Duration, size)
			for i := range delays {
				delays[i] = randomDelay(r)
			}
			t.Run(fmt.Sprint(size, " brokers", order), func(t *testing.T) {
				t.Parallel()
				startInOrder(t, order, delays)
			})
		}
	}
}

// startInOrder waits for as long as delays say after each start. All brokers
// are voters, so that more than half of them are enough.
func startInOrder(t *testing.T, order []int, delays []time.Duration) {
	t.Helper()
	t.Logf("-startup.seed %d: pauses %v", *seed, delays)
	c := prepare(t, len(order))
	client := newClient(t, c.Bootstrap())
	enough := len(order)/2 + 1
	for n, i := range order {
		launch(t, c, i)
		if started := n + 1; started >= enough {
			listens := awaitListening(t, c, i)
			firstAck(t, client, fmt.Sprintf("on-%d", started), int16(started))
			checkFirstAck(t, fmt.Sprintf("broker %d of %d listens", started, len(order)), listens, *limit)
		}
		if n < len(order)-1 {
			harness.Pause(t, delays[n])
		}
	}
}

// randomDelay is none as often as it is long: brokers that start at the same
// moment are the usual case.
func randomDelay(r *rand.Rand) time.Duration {
	if r.IntN(3) == 0 {
		return 0
	}
	return time.Duration(r.Int64N(int64(longestDelay()))).Round(time.Millisecond)
}

// permutations returns all orders of 0 to n-1.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var orders [][]int
	for _, shorter := range permutations(n - 1) {
		for at := range n {
			order := append(append(append(make([]int, 0, n), shorter[:at]...), n-1), shorter[at:]...)
			orders = append(orders, order)
		}
	}
	return orders
}
