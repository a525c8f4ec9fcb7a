package server

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
	"github.com/chronik-project/chronik/internal/vfs"
)

// Config is everything a broker can be told. Zero values mean the defaults
// named here.
type Config struct {
	// NodeID identifies this broker in the cluster.
	//
	// The default is 1.
	NodeID cluster.BrokerID
	// DataDir holds everything the broker keeps.
	//
	// The default is "chronik-data".
	DataDir string
	// MetadataDir holds the metadata log. It is always on the operating system's
	// file system, also when FS is not.
	//
	// The default is "raft" in DataDir.
	MetadataDir string
	// Listen is the address that clients connect to.
	//
	// The default is "127.0.0.1:9092".
	Listen string
	// Advertise is the address that clients are told, when they see another one
	// than Listen.
	Advertise string
	// PeerListen is the address that the other brokers connect to.
	//
	// The default is port 9192 on the host of Listen.
	PeerListen string
	// HTTPListen serves health, readiness and metrics; "none" turns it off.
	//
	// The default is "127.0.0.1:9292".
	HTTPListen string
	// Peers are all brokers of the cluster, this one included, equal on every
	// broker. The first three (of five or more: five) by id vote on metadata.
	// Empty means a cluster of this broker alone.
	Peers []Peer
	// Rack is where this broker stands; replicas of a partition are spread over
	// racks.
	Rack string
	// InsecurePeers allows a peer port on a non-loopback address without
	// authentication.
	InsecurePeers bool
	// AutoCreateTopics lets clients create topics by asking for them. Nil means
	// on for a broker alone and off in a cluster.
	AutoCreateTopics *bool
	// MemoryBytes is the budget for recent batches, write buffers, requests and
	// fetch responses, and what the collector keeps the heap below if it can;
	// docs/architecture.md says how it is shared.
	//
	// The default is 256 MiB.
	MemoryBytes int64
	// WALFileBytes is the size of the write-ahead log's files. A file must have
	// room for the largest batch of any topic, on this broker as on the others.
	//
	// The default is 64 MiB.
	WALFileBytes int64
	// ScrubBytesPerSecond is how much of the segment files is checked for damage in
	// the background at most; negative turns that off.
	//
	// The default is 16 MiB.
	ScrubBytesPerSecond int64
	// DrainTimeout bounds how long a graceful stop waits for leaderships to move.
	//
	// The default is 10 s.
	DrainTimeout time.Duration
	// Version is what the broker says of itself.
	Version string
	// Ready receives one line once the broker serves. Nil discards it.
	Ready io.Writer
	// Logger receives the log; nil discards it.
	Logger *slog.Logger

	// FS and Network are replaced in tests.
	FS      vfs.FS
	Network peer.Network
}

// Peer is one broker of a static peer list: "ID@HOST:PORT" of its peer port.
type Peer struct {
	ID   cluster.BrokerID
	Addr string
}

// ParsePeers reads "1@host:port,2@host:port".
func ParsePeers(s string) ([]Peer, error) {
	var peers []Peer
	for _, item := range strings.Split(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		id, addr, ok := strings.Cut(item, "@")
		n, err := strconv.ParseInt(id, 10, 32)
		if !ok || err != nil || n < 0 {
			return nil, fmt.Errorf("peer %q: want ID@HOST:PORT, for example 1@127.0.0.1:9192", item)
		}
		if err := checkAddr(addr); err != nil {
			return nil, fmt.Errorf("peer %q: %w", item, err)
		}
		peers = append(peers, Peer{ID: cluster.BrokerID(n), Addr: addr})
	}
	return peers, nil
}

// ConfigError says which setting is wrong, why, and what to do.
type ConfigError struct {
	Setting string
	Problem string
	Hint    string
}

// Error is "setting: problem".
func (e *ConfigError) Error() string { return e.Setting + ": " + e.Problem }

// StartError is a failure to start that has a known way out.
type StartError struct {
	Err  error
	Hint string
}

// Error is the cause's text.
func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }

// HTTPOff is the value of HTTPListen that turns the HTTP listener off.
const HTTPOff = "none"

// WithDefaults returns c with defaults in place of zero values.
func (c Config) WithDefaults() Config {
	c.NodeID = cmp.Or(c.NodeID, 1)
	c.DataDir = cmp.Or(c.DataDir, "chronik-data")
	c.MetadataDir = cmp.Or(c.MetadataDir, filepath.Join(c.DataDir, "raft"))
	c.Listen = cmp.Or(c.Listen, "127.0.0.1:9092")
	c.Advertise = cmp.Or(c.Advertise, c.Listen)
	if c.PeerListen == "" {
		host, _, err := net.SplitHostPort(c.Listen)
		if err != nil {
			host = "127.0.0.1"
		}
		c.PeerListen = net.JoinHostPort(host, "9192")
	}
	c.HTTPListen = cmp.Or(c.HTTPListen, "127.0.0.1:9292")
	c.MemoryBytes = cmp.Or(c.MemoryBytes, 256<<20)
	c.WALFileBytes = cmp.Or(c.WALFileBytes, 64<<20)
	c.ScrubBytesPerSecond = cmp.Or(c.ScrubBytesPerSecond, 16<<20)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 10*time.Second)
	c.Version = cmp.Or(c.Version, "dev")
	if c.AutoCreateTopics == nil {
		alone := len(c.Peers) <= 1
		c.AutoCreateTopics = &alone
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Ready == nil {
		c.Ready = io.Discard
	}
	if c.FS == nil {
		c.FS = vfs.OS()
	}
	if c.Network == nil {
		c.Network = peer.NewOSNetwork()
	}
	return c
}

// minMemoryBytes leaves room for one write round, one request and the tail.
const minMemoryBytes = 32 << 20

// minWALFileBytes has room for what a follower is sent at once, a mebibyte
// unless one batch is larger: a frame never spans files.
const minWALFileBytes = 2 << 20

// Validate checks a configuration that has its defaults, without touching disk
// or network. Every error is a [ConfigError].
func (c Config) Validate() error {
	if c.NodeID < 0 {
		return &ConfigError{"node-id", fmt.Sprintf("%d is negative", c.NodeID), "use 1, 2, 3, …"}
	}
	addrs := []struct{ setting, addr string }{{"listen", c.Listen}, {"advertise", c.Advertise}, {"peer-listen", c.PeerListen}}
	if c.HTTPListen != HTTPOff {
		addrs = append(addrs, struct{ setting, addr string }{"http-listen", c.HTTPListen})
	}
	for _, a := range addrs {
		if err := checkAddr(a.addr); err != nil {
			return &ConfigError{a.setting, err.Error(), "use HOST:PORT, for example 127.0.0.1:9092"}
		}
	}
	if host, _, _ := net.SplitHostPort(c.Advertise); unspecified(host) {
		return &ConfigError{"advertise", fmt.Sprintf("clients cannot connect to %q", c.Advertise), "give --advertise the HOST:PORT that clients reach this broker at"}
	}
	if !c.InsecurePeers && !loopback(c.PeerListen) && len(c.Peers) > 1 {
		return &ConfigError{
			"peer-listen", fmt.Sprintf("%s is reachable from other machines, and the peer port does not authenticate", c.PeerListen),
			"keep it on a private network and say so with --insecure-peers",
		}
	}
	if c.MemoryBytes < minMemoryBytes {
		return &ConfigError{"memory", fmt.Sprintf("%d bytes are too few", c.MemoryBytes), "use at least 32MiB"}
	}
	if c.WALFileBytes < minWALFileBytes {
		return &ConfigError{"wal-file-size", fmt.Sprintf("%d bytes are too few", c.WALFileBytes), "use at least 2MiB, and more than the largest batch of any topic"}
	}
	return c.validatePeers()
}

func (c Config) validatePeers() error {
	if len(c.Peers) == 0 {
		return nil
	}
	seen, addrs := map[cluster.BrokerID]bool{}, map[string]cluster.BrokerID{}
	for _, p := range c.Peers {
		if seen[p.ID] {
			return &ConfigError{"peers", fmt.Sprintf("node %d is listed twice", p.ID), "give every broker its own id"}
		}
		if other, ok := addrs[p.Addr]; ok {
			return &ConfigError{"peers", fmt.Sprintf("nodes %d and %d have the same address %s", other, p.ID, p.Addr), "give every broker its own peer address"}
		}
		seen[p.ID], addrs[p.Addr] = true, p.ID
	}
	if !seen[c.NodeID] {
		return &ConfigError{"peers", fmt.Sprintf("this broker, node %d, is not in the list", c.NodeID), "list every broker of the cluster, this one included, or change --node-id"}
	}
	return nil
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q is not HOST:PORT", addr)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("address %q: port %q is not a number from 0 to 65535", addr, port)
	}
	return nil
}

func unspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || (ip != nil && ip.IsUnspecified())
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
