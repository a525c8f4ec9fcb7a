package devcluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// layoutFile remembers the ports of a cluster: brokers know each other by them.
const layoutFile = "devcluster.json"

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
func newLayout(ctx context.Context, dir string, brokers int, ports *Ports) ([]Broker, error) {
	layout := make([]Broker, brokers)
	for i := range layout {
		b := Broker{ID: i + 1}
		for _, address := range []*string{&b.Address, &b.Peer, &b.HTTP} {
			var err error
			if *address, err = ports.Address(ctx); err != nil {
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

// givenLayout completes a layout that was given.
func givenLayout(dir string, given []Broker) []Broker {
	layout := slices.Clone(given)
	for i := range layout {
		complete := layout[i]
		complete.place(dir)
		layout[i].DataDir = cmp.Or(layout[i].DataDir, complete.DataDir)
		layout[i].Log = cmp.Or(layout[i].Log, complete.Log)
	}
	return layout
}
