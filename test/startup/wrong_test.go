package startup

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chronik-project/chronik/internal/devcluster"
	"github.com/chronik-project/chronik/test/harness"
)

// sayLimit is how soon a broker says what is wrong with its configuration: it
// waits three seconds for what may be about to start.
const sayLimit = 10 * time.Second

// TestWrongPeers starts the third of three brokers with a mistake. It says what
// is wrong, and ends if that cannot become right; the other two take writes.
func TestWrongPeers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args func(b []devcluster.Broker) []string
		says []string
		ends bool
	}{
		{
			name: "the list lacks the broker itself",
			args: func(b []devcluster.Broker) []string { return []string{"--peers", peers(b[:2])} },
			says: []string{"peers: this broker, node 3, is not in the list", "list every broker"},
			ends: true,
		},
		{
			name: "a broker is listed twice",
			args: func(b []devcluster.Broker) []string { return []string{"--peers", peers(b) + "," + peers(b[:1])} },
			says: []string{"node 1 is listed twice", "give every broker its own id"},
			ends: true,
		},
		{
			name: "the list lacks another broker",
			args: func(b []devcluster.Broker) []string { return []string{"--peers", peers(b[1:])} },
			says: []string{"a broker refuses this one", "names the brokers", "give every broker the same list"},
		},
		{
			name: "the list has one more broker",
			args: func(b []devcluster.Broker) []string { return []string{"--peers", peers(b) + ",4@127.0.0.1:1"} },
			says: []string{"a broker refuses this one", "names the brokers", "give every broker the same list"},
		},
		{
			name: "another broker's address",
			args: func(b []devcluster.Broker) []string {
				b[1].Peer, b[0].Peer = b[0].Peer, b[1].Peer
				return []string{"--peers", peers(b)}
			},
			says: []string{"a broker refuses this one", "this is broker 1, not broker 2: check the address in --peers"},
		},
		{
			name: "its own address is another's",
			args: func(b []devcluster.Broker) []string {
				b[2].Peer = b[0].Peer
				b[0].Peer = "127.0.0.1:1"
				b[1].Peer = "127.0.0.1:2"
				return []string{"--peers", peers(b)}
			},
			says: []string{"another process answers at this broker's address in --peers", "hint: give every broker its own --node-id"},
			ends: true,
		},
		{
			name: "nobody is at its own address",
			args: func(b []devcluster.Broker) []string {
				b[2].Peer = "127.0.0.1:1"
				b[0].Peer = "127.0.0.1:2"
				b[1].Peer = "127.0.0.1:3"
				return []string{"--peers", peers(b)}
			},
			says: []string{"waiting to be reachable at this broker's own address in --peers", "address=127.0.0.1:1"},
		},
		{
			name: "the id of another broker",
			args: func(b []devcluster.Broker) []string { return []string{"--node-id", "1", "--peers", peers(b)} },
			says: []string{"error: broker 1:", "hint: give", "its own --node-id"},
			ends: true,
		},
		{
			name: "a name that does not resolve",
			args: func(b []devcluster.Broker) []string {
				b[0].Peer, b[1].Peer = "one.invalid:1", "two.invalid:1"
				return []string{"--peers", peers(b)}
			},
			says: []string{"waiting for the controller", "lookup"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := prepare(t, 3)
			client := newClient(t, c.Bootstrap()[:2])
			launch(t, c, 0)
			launch(t, c, 2, tt.args(c.Brokers())...)
			launch(t, c, 1)
			listens := awaitListening(t, c, 1)
			firstAck(t, client, "two", 2)
			checkFirstAck(t, "the second right broker listens", listens, *limit)
			awaitSaid(t, c, 2, tt.says...)
			if tt.ends {
				awaitEnd(t, c, 2)
			}
		})
	}
}

// TestABrokerTheClusterWasFoundedWithout starts a fourth broker of a cluster of
// three: clusters do not grow, and it has to say so.
func TestABrokerTheClusterWasFoundedWithout(t *testing.T) {
	t.Parallel()
	c := prepare(t, 4)
	brokers := c.Brokers()
	for i := range 3 {
		launch(t, c, i, "--peers", peers(brokers[:3]))
	}
	firstAck(t, newClient(t, c.Bootstrap()), "three", 3)
	launch(t, c, 3)
	awaitSaid(t, c, 3, "not serving yet", "the cluster was founded without it", "give every broker the same --peers")
}

// TestABrokerThatWasAloneKeepsItsCluster starts a broker without --peers first,
// which is a cluster, and then two that take it for one of them.
func TestABrokerThatWasAloneKeepsItsCluster(t *testing.T) {
	t.Parallel()
	c := prepare(t, 3)
	launch(t, c, 0, "--peers", "")
	firstAck(t, newClient(t, c.Bootstrap()), "alone", 1)
	launch(t, c, 1)
	launch(t, c, 2)
	for _, i := range []int{1, 2} {
		awaitSaid(t, c, i, "not serving yet", "the cluster was founded without it")
	}
}

// TestTheDataOfAnotherCluster moves a broker's directory to another cluster.
func TestTheDataOfAnotherCluster(t *testing.T) {
	t.Parallel()
	first, second := prepare(t, 3), prepare(t, 3)
	for i := range 3 {
		launch(t, first, i)
		if i < 2 {
			launch(t, second, i)
		}
	}
	firstAck(t, newClient(t, first.Bootstrap()), "first", 3)
	client := newClient(t, second.Bootstrap())
	firstAck(t, client, "second", 2)
	if err := first.Kill(2); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(first.Brokers()[2].DataDir, second.Brokers()[2].DataDir); err != nil {
		t.Fatal(err)
	}
	launch(t, second, 2)
	awaitSaid(t, second, 2, "this broker", "belongs to", "cluster")
	firstAck(t, client, "still", 2)
}

// TestTheSameIDTwice starts a second process of a broker's id, with the same
// directory, and with another one at another address.
func TestTheSameIDTwice(t *testing.T) {
	t.Parallel()
	c := prepare(t, 4)
	brokers := c.Brokers()
	three := peers(brokers[:3])
	for i := range 3 {
		launch(t, c, i, "--peers", three)
	}
	firstAck(t, newClient(t, c.Bootstrap()), "three", 3)
	launch(t, c, 3, "--node-id", "1", "--peers", three, "--data-dir", brokers[0].DataDir)
	awaitSaid(t, c, 3, "is in use by another process", "hint: stop the other broker, or choose another --data-dir")
	awaitEnd(t, c, 3)
	if err := c.Kill(3); err != nil { // it ended: this forgets it
		t.Fatal(err)
	}
	launch(t, c, 3, "--node-id", "1", "--peers", three)
	awaitSaid(t, c, 3, "hint: give", "its own --node-id")
	awaitEnd(t, c, 3)
}

// peers is a list for --peers.
func peers(brokers []devcluster.Broker) string {
	list := make([]string, len(brokers))
	for i, b := range brokers {
		list[i] = fmt.Sprintf("%d@%s", b.ID, b.Peer)
	}
	return strings.Join(list, ",")
}

// awaitSaid waits until a broker's log has all parts of what it should say.
func awaitSaid(t *testing.T, c *devcluster.Cluster, i int, parts ...string) {
	t.Helper()
	b := c.Brokers()[i]
	harness.Await(harness.Within(t, sayLimit), t, fmt.Sprintf("broker %d to say what is wrong", b.ID), func(context.Context) error {
		text, err := os.ReadFile(b.Log)
		if err != nil {
			return err
		}
		for _, part := range parts {
			if !strings.Contains(string(text), part) {
				return fmt.Errorf("the log has no %q", part)
			}
		}
		return nil
	})
}

// awaitEnd waits until a broker has ended by itself.
func awaitEnd(t *testing.T, c *devcluster.Cluster, i int) {
	t.Helper()
	select {
	case <-c.Exited(i):
	case <-harness.Within(t, sayLimit).Done():
		t.Errorf("broker %d said what is wrong and runs on", c.Brokers()[i].ID)
	}
}
