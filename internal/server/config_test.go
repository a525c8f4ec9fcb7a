package server

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/chronik-project/chronik/internal/cluster"
)

func TestParsePeers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		want     []Peer
		wantErr  string
	}{
		{name: "none", in: ""},
		{name: "one", in: "1@127.0.0.1:9192", want: []Peer{{1, "127.0.0.1:9192"}}},
		{name: "spaces", in: "1@a:1, 2@b:2", want: []Peer{{1, "a:1"}, {2, "b:2"}}},
		{name: "ipv6", in: "7@[::1]:9192", want: []Peer{{7, "[::1]:9192"}}},
		{name: "no id", in: "127.0.0.1:9192", wantErr: `peer "127.0.0.1:9192": want ID@HOST:PORT`},
		{name: "negative id", in: "-1@a:1", wantErr: `peer "-1@a:1": want ID@HOST:PORT`},
		{name: "huge id", in: "99999999999@a:1", wantErr: "want ID@HOST:PORT"},
		{name: "no port", in: "1@host", wantErr: `address "host" is not HOST:PORT`},
		{name: "bad port", in: "1@host:99999", wantErr: `port "99999" is not a number from 0 to 65535`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParsePeers(tt.in)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	peers := []Peer{{1, "127.0.0.1:9192"}, {2, "127.0.0.1:9193"}}
	tests := []struct {
		name    string
		config  Config
		setting string // of the ConfigError; empty: valid
	}{
		{name: "no setting at all"},
		{name: "one of two", config: Config{Peers: peers}},
		{name: "negative id", config: Config{NodeID: -2}, setting: "node-id"},
		{name: "listen without a port", config: Config{Listen: "localhost"}, setting: "listen"},
		{name: "wildcard that is not advertised", config: Config{Listen: "0.0.0.0:9092"}, setting: "advertise"},
		{name: "wildcard that is advertised", config: Config{Listen: "0.0.0.0:9092", Advertise: "kafka.example:9092"}},
		{name: "bad http address", config: Config{HTTPListen: "9292"}, setting: "http-listen"},
		{name: "no http", config: Config{HTTPListen: HTTPOff}},
		{name: "not among its peers", config: Config{NodeID: 3, Peers: peers}, setting: "peers"},
		{name: "id twice", config: Config{Peers: append(slices.Clone(peers), Peer{1, "127.0.0.1:9194"})}, setting: "peers"},
		{name: "address twice", config: Config{Peers: append(slices.Clone(peers), Peer{3, "127.0.0.1:9193"})}, setting: "peers"},
		{name: "peer port for everybody", config: Config{PeerListen: "10.0.0.1:9192", Peers: peers}, setting: "peer-listen"},
		{name: "peer port for everybody, on purpose", config: Config{PeerListen: "10.0.0.1:9192", Peers: peers, InsecurePeers: true}},
		{name: "too little memory", config: Config{MemoryBytes: 1 << 20}, setting: "memory"},
		{name: "write-ahead log files too small for a catch-up", config: Config{WALFileBytes: 1 << 20}, setting: "wal-file-size"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.config.WithDefaults().Validate()
			if tt.setting == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			own, ok := errors.AsType[*ConfigError](err)
			if !ok || own.Setting != tt.setting || own.Hint == "" {
				t.Errorf("error %#v, want one of %q with a hint", err, tt.setting)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	alone := Config{Listen: "10.1.2.3:19092"}.WithDefaults()
	if alone.NodeID != 1 || alone.PeerListen != "10.1.2.3:9192" || alone.Advertise != alone.Listen || !*alone.AutoCreateTopics {
		t.Errorf("broker alone: %+v", alone)
	}
	member := Config{NodeID: 2, Peers: []Peer{{1, "a:1"}, {cluster.BrokerID(2), "b:1"}}}.WithDefaults()
	if *member.AutoCreateTopics {
		t.Error("clients may create topics in a cluster by asking for them")
	}
}
