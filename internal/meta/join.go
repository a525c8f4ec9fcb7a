package meta

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/pause"
	"github.com/chronik-project/chronik/internal/peer"
	"github.com/chronik-project/chronik/internal/vfs"
)

// A voter that finds its directory empty is either one of a new cluster, which
// it must help to found, or one that lost its disk, which must neither found
// anything nor vote before it has caught up. It asks the other brokers: as soon
// as one of them knows a cluster id there is a cluster; when a majority of the
// voters, itself included, knows none, there is not.
//
// It also asks itself, at the address that the others know: two processes of the
// same id could otherwise each found a cluster, with the same votes of a third.
const (
	// probeTimeout bounds one question.
	probeTimeout = 300 * time.Millisecond
	// probePause is between two rounds of questions.
	probePause = 50 * time.Millisecond
	// duplicatePatience is how long a member does not believe that another
	// process answers at its address.
	duplicatePatience = 3 * time.Second
	// explainEvery is how often a member that waits says for whom.
	explainEvery = 10 * time.Second
	// catchUpPause is between two looks at how far the log has come.
	catchUpPause = 50 * time.Millisecond
)

// joiningFile marks, across restarts, a member that must not vote yet.
func (r *Raft) joiningFile() string { return filepath.Join(r.o.Dir, "joining") }

// clusterFile holds the cluster's id, so that this broker can tell it before it
// has replayed its log.
func (r *Raft) clusterFile() string { return filepath.Join(r.o.Dir, "cluster-id") }

// Admitted returns a channel that is closed once this member knows that no other
// process holds its place: it reached itself at the address that the others
// have, or its directory has been part of the cluster before.
func (r *Raft) Admitted() <-chan struct{} { return r.admitted }

// prepare founds a one-voter cluster, and reports whether this member has to
// join one before it may vote.
func (r *Raft) prepare(logs *guardedStore, snapshots raft.SnapshotStore, t raft.Transport, c *raft.Config) (joining bool, err error) {
	defer func() {
		if err == nil && !joining {
			close(r.admitted)
		}
	}()
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
		return true, errors.Join(err, forgetFounding(logs, snapshots))
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

// forgetFounding lets a member that has never voted and holds nothing found a
// cluster again. Raft stores the term first and then the log: a founding that was
// cut off between them could not be repeated, as a term is something that exists.
func forgetFounding(logs *guardedStore, snapshots raft.SnapshotStore) error {
	list, err := snapshots.List()
	if err != nil || len(list) > 0 {
		return err
	}
	last, err := logs.LastIndex()
	if err != nil || last > 0 {
		return err
	}
	return logs.forgetTerm()
}

// join founds the cluster together with others or catches up with it, and then
// lets this member vote.
func (r *Raft) join(ctx context.Context, m *raft.Raft, logs raft.LogStore, g *gate) error {
	known, err := r.clusterExists(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // not a failure of this member
	}
	if err != nil {
		return err
	}
	close(r.admitted)
	if known.cluster {
		r.o.Logger.Info("catching up with the metadata log before voting")
		if !catchUp(ctx, m, logs) {
			return nil
		}
	} else if voter, err := r.found(ctx, m, logs, known.first); err != nil || !voter {
		return err
	}
	if err := r.o.FS.Remove(r.joiningFile()); err != nil {
		return fmt.Errorf("join metadata log: %w", err)
	}
	if err := r.o.FS.SyncDir(r.o.Dir); err != nil {
		return fmt.Errorf("join metadata log: %w", err)
	}
	g.open.Store(true)
	r.o.Logger.Info("voting on the metadata log", slog.Bool("founded", !known.cluster))
	return nil
}

// found founds the log, and reports whether this member may vote now. The first of
// those that found it may call an election before the others would: if all did,
// none might get a majority.
func (r *Raft) found(ctx context.Context, m *raft.Raft, logs raft.LogStore, first bool) (voter bool, err error) {
	if !first {
		if err := r.endHurry(m); err != nil {
			return false, err
		}
	}
	err = m.BootstrapCluster(configuration(r.o.Peers)).Error()
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, raft.ErrCantBootstrap) {
		return false, fmt.Errorf("found metadata log: %w", err)
	}
	last, err := logs.LastIndex()
	if err != nil || last > 0 {
		return err == nil, err // founded before the last restart
	}
	// A leader was faster, and has told its term but not its log yet.
	return catchUp(ctx, m, logs), nil
}

// outset is what a member without a log found out about the others.
type outset struct {
	cluster bool // there is one
	first   bool // of the voters that answer, this one has the lowest id
}

// clusterExists asks until the answer is certain or ctx ends. It fails if
// another process has this member's id and address.
func (r *Raft) clusterExists(ctx context.Context) (outset, error) {
	voters := Voters(r.o.Peers)
	said := map[cluster.BrokerID]string{} // refusals that were logged
	var taken time.Time                   // since when another process answers for this one
	explain := time.Now().Add(duplicatePatience)
	for round := 0; ; round++ {
		answers := r.probe(ctx)
		r.report(answers, said)
		newborn := newborns(answers, voters)
		self := answers[slices.IndexFunc(answers, func(a answer) bool { return a.from == r.o.Self })]
		refused := errors.Is(self.err, peer.ErrRefused)
		switch {
		case !refused:
			taken = time.Time{}
		case taken.IsZero():
			taken = time.Now()
		case time.Since(taken) > duplicatePatience:
			return outset{}, fmt.Errorf("%w: %w", ErrNotAtAddress, self.err)
		}
		switch {
		case refused:
		case slices.ContainsFunc(answers, func(a answer) bool { return a.hello.ClusterID != "" }):
			return outset{cluster: true}, nil
		case self.err == nil && len(newborn) > len(voters)/2:
			return outset{first: r.o.Self == slices.Min(newborn)}, nil
		}
		if round == 0 {
			r.o.Logger.Info("waiting for a majority of the voters", slog.Int("voters", len(voters)))
		}
		if time.Now().After(explain) {
			explain = time.Now().Add(explainEvery)
			r.explain(answers)
		}
		if !pause.For(ctx, probePause) {
			return outset{}, ctx.Err()
		}
	}
}

// answer is what a broker said when it was asked which cluster it belongs to.
type answer struct {
	from  cluster.BrokerID
	hello peer.Hello
	err   error
}

// newborns are the voters that answer and know no cluster.
func newborns(answers []answer, voters []cluster.BrokerID) []cluster.BrokerID {
	var ids []cluster.BrokerID
	for _, a := range answers {
		if a.err == nil && a.hello.ClusterID == "" && slices.Contains(voters, a.from) {
			ids = append(ids, a.from)
		}
	}
	return ids
}

// probe asks all brokers at once which cluster they belong to.
func (r *Raft) probe(ctx context.Context) []answer {
	answers := make([]answer, len(r.o.Peers))
	var asked sync.WaitGroup
	for i, p := range r.o.Peers {
		asked.Go(func() {
			conn, hello, err := peer.Dial(ctx, peer.DialOptions{
				Network: r.o.Network, Addr: p.Addr, Hello: r.o.Mux.Hello(peer.KindRaft, p.ID), Timeout: probeTimeout,
			})
			if err == nil {
				_ = conn.Close() // the greeting was the answer
			}
			answers[i] = answer{from: p.ID, hello: hello, err: err}
		})
	}
	asked.Wait()
	return answers
}

// report logs refusals when they are news.
func (r *Raft) report(answers []answer, said map[cluster.BrokerID]string) {
	for _, a := range answers {
		if !errors.Is(a.err, peer.ErrRefused) || said[a.from] == a.err.Error() {
			continue
		}
		said[a.from] = a.err.Error()
		r.o.Logger.Warn("a broker refuses this one", slog.Int("broker", int(a.from)), slog.String("error", a.err.Error()))
	}
}

// explain logs why this member still waits.
func (r *Raft) explain(answers []answer) {
	for _, a := range answers {
		switch {
		case a.err == nil:
		case a.from == r.o.Self:
			r.o.Logger.Warn("waiting to be reachable at this broker's own address in --peers",
				slog.String("address", r.o.selfAddr()), slog.String("error", a.err.Error()))
		default:
			r.o.Logger.Warn("waiting for a broker of --peers, as fewer than a majority of the voters can be reached",
				slog.Int("broker", int(a.from)), slog.String("error", a.err.Error()))
		}
	}
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
		if !pause.For(ctx, catchUpPause) {
			return false
		}
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

// saveClusterID remembers the id as soon as it is known. The write is watched as
// those of the log on the same disk are.
func (r *Raft) saveClusterID(id string, watched func(what string, write func() error) error) error {
	r.mu.Lock()
	known := r.id
	r.mu.Unlock()
	if id == "" || id == known {
		return nil
	}
	write := func() error { return vfs.WriteFileAtomic(r.o.FS, r.clusterFile(), []byte(id)) }
	if err := watched("store the cluster id", write); err != nil {
		return fmt.Errorf("write cluster id: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.id = id
	return nil
}
