package devcluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
)

// layoutFile remembers the ports of a cluster: brokers know each other by them.
const layoutFile = "devcluster.json"

// Ports are chosen below every system's ephemeral range. A port from inside it
// could be taken, while its broker is down, by any outgoing connection, even by
// a peer's own attempt to reach it.
const (
	firstPort = 20000
	lastPort  = 29999
)

// portAttempts bounds the search for a free port.
const portAttempts = 200

// readLayout returns nil when the directory holds no cluster.
func readLayout(dir string) ([]Broker, error) {
	p, err := os.ReadFile(filepath.Join(dir, layoutFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a new cluster
	}
	if err != nil {
		return nil, fmt.Errorf("cluster layout: %w", err)
	}
	var layout []Broker
	if err := json.Unmarshal(p, &layout); err != nil {
		return nil, fmt.Errorf("cluster layout %s: %w", filepath.Join(dir, layoutFile), err)
	}
	if len(layout) == 0 || len(layout) > MaxBrokers {
		return nil, fmt.Errorf("cluster layout %s: %d brokers", filepath.Join(dir, layoutFile), len(layout))
	}
	for i := range layout {
		layout[i].place(dir)
	}
	return layout, nil
}

func writeLayout(dir string, layout []Broker) error {
	p, err := json.MarshalIndent(layout, "", "  ")
	if err != nil {
		return fmt.Errorf("cluster layout: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, layoutFile), append(p, '\n'), 0o644); err != nil {
		return fmt.Errorf("cluster layout: %w", err)
	}
	return nil
}

// newLayout finds three free ports for each broker.
func newLayout(ctx context.Context, dir string, brokers int) ([]Broker, error) {
	taken := make(map[string]bool)
	free := func() (string, error) { return freeAddress(ctx, taken) }
	layout := make([]Broker, brokers)
	for i := range layout {
		b := Broker{ID: i + 1}
		for _, address := range []*string{&b.Address, &b.Peer, &b.HTTP} {
			var err error
			if *address, err = free(); err != nil {
				return nil, err
			}
		}
		b.place(dir)
		layout[i] = b
	}
	return layout, nil
}

// place says where a broker's files are; the directory may have been moved.
func (b *Broker) place(dir string) {
	b.DataDir = filepath.Join(dir, fmt.Sprintf("broker-%d", b.ID))
	b.Log = filepath.Join(dir, fmt.Sprintf("broker-%d.log", b.ID))
}

func freeAddress(ctx context.Context, taken map[string]bool) (string, error) {
	var last error
	var config net.ListenConfig
	for range portAttempts {
		address := net.JoinHostPort("127.0.0.1", fmt.Sprint(firstPort+rand.IntN(lastPort-firstPort+1)))
		if taken[address] {
			continue
		}
		listener, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			last = err
			continue
		}
		if err := listener.Close(); err != nil {
			return "", fmt.Errorf("free port: %w", err)
		}
		taken[address] = true
		return address, nil
	}
	return "", fmt.Errorf("no free port between %d and %d: %w", firstPort, lastPort, last)
}
