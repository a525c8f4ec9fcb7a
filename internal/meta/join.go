package meta

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/peer"
	"github.com/chronik-project/chronik/internal/vfs"
)

// A voter that finds its directory empty is either one of a new cluster, which
// it must help to found, or one that lost its disk, which must neither found
// anything nor vote before it has caught up. It asks the other brokers: as soon
// as one of them knows a cluster id there is a cluster; when a majority of the
// voters, itself included, knows none, there is not.
const (
	// probeTimeout bounds one question.
	probeTimeout = 300 * time.Millisecond
	// probePause is between two rounds of questions.
	probePause = 50 * time.Millisecond
	// catchUpPause is between two looks at how far the log has come.
	catchUpPause = 50 * time.Millisecond
)

// joiningFile marks, across restarts, a member that must not vote yet.
func (r *Raft) joiningFile() string { return filepath.Join(r.o.Dir, "joining") }

// clusterFile holds the cluster's id, so that this broker can tell it before it
// has replayed its log.
func (r *Raft) clusterFile() string { return filepath.Join(r.o.Dir, "cluster-id") }

// prepare founds a one-voter cluster, and reports whether this member has to
// join one before it may vote.
func (r *Raft) prepare(logs *guardedStore, snapshots raft.SnapshotStore, t raft.Transport, c *raft.Config) (joining bool, err error) {
	has, err := raft.HasExistingState(logs, logs, snapshots)
	if err != nil {
		return false, fmt.Errorf("inspect metadata log: %w", err)
	}
	switch {
	case !r.isVoter():
		return false, nil // waits for the leader, and nobody asks it for a vote
	case has:
		_, _, err := r.o.FS.Stat(r.joiningFile())
		if vfs.IsNotExist(err) {
			return false, nil
		}
		return true, err
	case len(Voters(r.o.Peers)) == 1:
		err := raft.BootstrapCluster(c, logs, logs, snapshots, t, configuration(r.o.Peers))
		if err != nil {
			return false, fmt.Errorf("found metadata log: %w", err)
		}
		return false, nil
	default:
		return true, vfs.WriteFileAtomic(r.o.FS, r.joiningFile(), nil)
	}
}

// join founds the cluster together with others or catches up with it, and then
// lets this member vote.
func (r *Raft) join(ctx context.Context, m *raft.Raft, logs raft.LogStore, g *gate) error {
	exists, err := r.clusterExists(ctx)
	if err != nil {
		return nil //nolint:nilerr // ctx ended: not a failure of this member
	}
	if exists {
		r.o.Logger.Info("catching up with the metadata log before voting")
		if !catchUp(ctx, m, logs) {
			return nil
		}
	} else if err := m.BootstrapCluster(configuration(r.o.Peers)).Error(); err != nil && !errors.Is(err, raft.ErrCantBootstrap) {
		return fmt.Errorf("found metadata log: %w", err)
	}
	if err := r.o.FS.Remove(r.joiningFile()); err != nil {
		return fmt.Errorf("join metadata log: %w", err)
	}
	if err := r.o.FS.SyncDir(r.o.Dir); err != nil {
		return fmt.Errorf("join metadata log: %w", err)
	}
	g.open.Store(true)
	r.o.Logger.Info("voting on the metadata log", slog.Bool("founded", !exists))
	return nil
}

// clusterExists asks until the answer is certain or ctx ends.
func (r *Raft) clusterExists(ctx context.Context) (bool, error) {
	voters := Voters(r.o.Peers)
	refusals := map[cluster.BrokerID]string{} // that were logged
	for round := 0; ; round++ {
		newborn := 1 // this member
		for id, clusterID := range r.probe(ctx, refusals) {
			if clusterID != "" {
				return true, nil
			}
			if slices.Contains(voters, id) {
				newborn++
			}
		}
		if newborn > len(voters)/2 {
			return false, ctx.Err()
		}
		if round == 0 {
			r.o.Logger.Info("waiting for a majority of the voters", slog.Int("voters", len(voters)))
		}
		if !sleep(ctx, probePause) {
			return false, ctx.Err()
		}
	}
}

// probe asks all other brokers at once which cluster they belong to and returns
// the answers of those that gave one. A refusal is logged when it is news.
func (r *Raft) probe(ctx context.Context, refusals map[cluster.BrokerID]string) map[cluster.BrokerID]string {
	type answer struct {
		from  cluster.BrokerID
		hello peer.Hello
		err   error
	}
	answers := make(chan answer)
	asked := 0
	for _, p := range r.o.Peers {
		if p.ID == r.o.Self {
			continue
		}
		asked++
		go func() {
			conn, hello, err := peer.Dial(ctx, peer.DialOptions{
				Network: r.o.Network, Addr: p.Addr, Hello: r.o.Mux.Hello(peer.KindRaft, p.ID), Timeout: probeTimeout,
			})
			if err == nil {
				_ = conn.Close() // the greeting was the answer
			}
			answers <- answer{from: p.ID, hello: hello, err: err}
		}()
	}
	known := map[cluster.BrokerID]string{}
	for range asked {
		if a := <-answers; a.err == nil {
			known[a.from] = a.hello.ClusterID
		} else if errors.Is(a.err, peer.ErrRefused) && refusals[a.from] != a.err.Error() {
			refusals[a.from] = a.err.Error()
			r.o.Logger.Warn("a broker refuses this one", slog.Int("broker", int(a.from)), slog.String("error", a.err.Error()))
		}
	}
	return known
}

// catchUp waits until this member's log holds an entry of the current leader's
// term that is committed: then it holds everything that was committed before.
func catchUp(ctx context.Context, m *raft.Raft, logs raft.LogStore) bool {
	for {
		var last raft.Log
		commit := m.CommitIndex()
		if commit > 0 && logs.GetLog(commit, &last) == nil && last.Term == m.CurrentTerm() {
			return true
		}
		if !sleep(ctx, catchUpPause) {
			return false
		}
	}
}

// sleep reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *Raft) loadClusterID() error {
	data, err := vfs.ReadFile(r.o.FS, r.clusterFile())
	if err != nil && !vfs.IsNotExist(err) {
		return fmt.Errorf("read cluster id: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.id = string(data)
	return nil
}

// saveClusterID remembers the id as soon as it is known.
func (r *Raft) saveClusterID(id string) error {
	r.mu.Lock()
	known := r.id
	r.mu.Unlock()
	if id == "" || id == known {
		return nil
	}
	if err := vfs.WriteFileAtomic(r.o.FS, r.clusterFile(), []byte(id)); err != nil {
		return fmt.Errorf("write cluster id: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.id = id
	return nil
}
