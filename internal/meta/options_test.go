package meta

import (
	"fmt"
	"slices"
	"testing"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
)

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	n := peer.NewMemNetwork()
	defer n.Close()
	good := func() Options {
		return Options{
			Self: 1, Peers: []Peer{{ID: 1, Addr: "a:1"}, {ID: 2, Addr: "b:1"}}, Dir: t.TempDir(),
			Mux: peer.NewMux(peer.Options{Self: 1}), Network: n.Host("a"),
		}
	}
	tests := []struct {
		name string
		edit func(*Options)
		ok   bool
	}{
		{name: "good", edit: func(*Options) {}, ok: true},
		{name: "not among the peers", edit: func(o *Options) { o.Self = 3 }},
		{name: "a peer twice", edit: func(o *Options) { o.Peers[1].ID = 1 }},
		{name: "a peer without address", edit: func(o *Options) { o.Peers[1].Addr = "" }},
		{name: "a negative id", edit: func(o *Options) { o.Peers[1].ID = -2 }},
		{name: "no mux", edit: func(o *Options) { o.Mux = nil }},
		{name: "no network", edit: func(o *Options) { o.Network = nil }},
		{name: "no directory", edit: func(o *Options) { o.Dir = "" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := good()
			tt.edit(&o)
			if _, err := NewRaft(o); (err == nil) != tt.ok {
				t.Fatalf("error %v, want ok %v", err, tt.ok)
			}
		})
	}
}

func TestVoters(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		ids  []cluster.BrokerID
		want []cluster.BrokerID
	}{
		{name: "one", ids: []cluster.BrokerID{7}, want: []cluster.BrokerID{7}},
		{name: "two", ids: []cluster.BrokerID{2, 1}, want: []cluster.BrokerID{1, 2}},
		{name: "three", ids: []cluster.BrokerID{30, 10, 20}, want: []cluster.BrokerID{10, 20, 30}},
		{name: "four: an even number would not survive more", ids: []cluster.BrokerID{4, 3, 2, 1}, want: []cluster.BrokerID{1, 2, 3}},
		{name: "five", ids: []cluster.BrokerID{5, 4, 3, 2, 1}, want: []cluster.BrokerID{1, 2, 3, 4, 5}},
		{name: "nine", ids: []cluster.BrokerID{9, 8, 7, 6, 5, 4, 3, 2, 1}, want: []cluster.BrokerID{1, 2, 3, 4, 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var peers []Peer
			for _, id := range tt.ids {
				peers = append(peers, Peer{ID: id, Addr: fmt.Sprint(id)})
			}
			if got := Voters(peers); !slices.Equal(got, tt.want) {
				t.Fatalf("voters %v, want %v", got, tt.want)
			}
			for _, s := range configuration(peers).Servers {
				if back := brokerID(s.ID); serverID(back) != s.ID {
					t.Errorf("server %s is broker %d", s.ID, back)
				}
			}
		})
	}
	if got := brokerID("x"); got != cluster.NoBroker {
		t.Errorf("server x is broker %d, want none", got)
	}
}
