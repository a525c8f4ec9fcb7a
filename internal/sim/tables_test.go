package sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/isr"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/record"
	"github.com/chronik-project/chronik/internal/trace"
	"github.com/chronik-project/chronik/internal/vfs"
	"github.com/chronik-project/chronik/internal/wal"
)

const (
	tableShare = 500 // for as many schedules of the model there is one of tables
	tableSteps = 800
)

// tables is a cluster of real partition.Tables on disks that lose power: far
// fewer schedules than the model takes, over the code that the model stands for.
type tables struct {
	t       *testing.T
	r       *rand.Rand
	images  []*cluster.Image
	nodes   [brokerCount]*node
	tp      cluster.TopicPartition
	session uint64
	values  int64
	acked   map[int64]int64 // value to offset
	trace   []string
}

// TestTables lets real tables live through random schedules. Everything that
// was acknowledged must be where it was acknowledged in the end.
func TestTables(t *testing.T) {
	acked, epochs := 0, 0
	for i := range max(1, *countFlag/tableShare/slowdown) {
		seed := *firstFlag + i
		synctest.Test(t, func(t *testing.T) {
			s := newTables(t, seed)
			for range tableSteps {
				s.step()
				synctest.Wait()
			}
			s.finish(seed)
			_, p, _ := s.newest().Partition(s.tp)
			acked, epochs = acked+len(s.acked), epochs+int(p.LeaderEpoch)
		})
	}
	t.Logf("%d batches acknowledged, %d changes of leader", acked, epochs)
	if acked == 0 {
		t.Error("nothing was acknowledged: nothing was tested")
	}
}

func newTables(t *testing.T, seed uint64) *tables {
	s := &tables{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), images: []*cluster.Image{cluster.NewImage()},
		acked: map[int64]int64{},
	}
	var all []cluster.BrokerID
	for i := range s.nodes {
		n := &node{id: cluster.BrokerID(i + 1), disk: newSlowDisk(vfs.NewMem())}
		s.nodes[i] = n
		all = append(all, n.id)
		s.start(n)
		s.register(n)
		b, _ := s.newest().Broker(n.id)
		s.apply(cluster.UnfenceBroker{ID: n.id, Epoch: b.Epoch})
	}
	s.tp = cluster.TopicPartition{TopicID: cluster.UUID{9, 1}}
	s.apply(cluster.CreateTopic{ID: s.tp.TopicID, Name: topicName, Assignment: [][]cluster.BrokerID{all}, Configs: map[string]string{"min.insync.replicas": minISR}})
	for _, n := range s.nodes {
		s.learn(n, len(s.images)-1)
	}
	return s
}

func (s *tables) logf(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

func (s *tables) newest() *cluster.Image { return s.images[len(s.images)-1] }

func (s *tables) apply(cmd cluster.Command) cluster.Result {
	img, res := cluster.Apply(s.newest(), s.newest().Index()+1, cmd)
	s.images = append(s.images, img)
	s.logf("%T %+v: %v", cmd, cmd, res.Err)
	return res
}

func (s *tables) learn(n *node, view int) {
	n.disk.release() // a new replica's files are synced
	n.view = view
	n.table.Apply(s.images[view])
}

func (s *tables) start(n *node) {
	n.incarnation++
	n.waiting = map[int64]*partition.Pending{}
	n.sessions = map[cluster.BrokerID]uint64{}
	n.power(true)
	log, err := wal.Open(wal.Options{FS: n.disk, Dir: "data/wal", FileBytes: 1 << 20, FirstFileBytes: 64 << 10})
	if err != nil {
		s.t.Fatal(err)
	}
	n.wal = log
	n.table = partition.NewTable(partition.Options{
		Self: n.id, Incarnation: cluster.UUID{byte(n.id), n.incarnation}, FS: n.disk, Dir: "data", WAL: log, Lease: time.Hour,
		ISR:     isr.Options{DisconnectGrace: 300 * time.Millisecond, StallTimeout: 500 * time.Millisecond, LagTimeMax: time.Second, RejoinWaitMax: 100 * time.Millisecond},
		Propose: n.propose,
	})
	report, err := n.table.Recover()
	if err != nil {
		s.t.Fatal(err)
	}
	n.failed = report.Failed
	n.table.ControllerHeard()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	go func() { _ = log.Run(ctx); ended <- struct{}{} }()
	go func() { _ = n.table.Run(ctx); ended <- struct{}{} }()
	n.stop = func() { cancel(); <-ended; <-ended }
	s.logf("b%d starts, %+v", n.id, report)
}

// crash takes the power away and lets the process go on for a moment, on a disk
// that nobody will look at.
func (s *tables) crash(n *node) {
	if !n.up {
		return
	}
	s.settle()
	clear(n.waiting)
	disk := n.disk.Crash(vfs.Loss{Rand: s.r})
	n.power(false)
	n.disk.release()
	n.stop()
	n.disk, n.table = newSlowDisk(disk), nil
	s.logf("b%d crashes", n.id)
}

func (s *tables) register(n *node) {
	s.apply(cluster.RegisterBroker{Broker: cluster.Broker{
		ID: n.id, Incarnation: cluster.UUID{byte(n.id), n.incarnation}, Directory: cluster.UUID{byte(n.id)},
	}, FailedReplicas: n.failed})
}

func (s *tables) repair(n *node) {
	b, _ := s.newest().Broker(n.id)
	switch {
	case !n.up:
		s.start(n)
		s.learn(n, n.view)
	case b.Incarnation != cluster.UUID{byte(n.id), n.incarnation}:
		s.register(n)
	case b.Fenced && n.view > 0 && s.images[n.view].Index() >= uint64(b.Epoch):
		s.apply(cluster.UnfenceBroker{ID: n.id, Epoch: b.Epoch})
	}
}

func (s *tables) step() {
	<-time.After(time.Duration(s.r.Int64N(int64(4 * time.Millisecond))))
	synctest.Wait()
	n, f := s.nodes[s.r.IntN(brokerCount)], s.nodes[s.r.IntN(brokerCount)]
	k := s.r.IntN(100)
	if k >= 97 && s.r.IntN(3) > 0 {
		return // harm is rare
	}
	if _, _, ok := s.leads(n); !ok && (k < 14 || k >= 32 && k < 78) {
		n = s.nodes[s.r.IntN(brokerCount)] // one more chance to meet a leader
	}
	switch {
	case k < 14:
		s.produce(n)
	case k < 20:
		if n.up {
			n.disk.shut()
		}
	case k < 32:
		n.disk.release()
	case k < 46:
		s.connect(n, f)
	case k < 66:
		s.ship(n, f)
	case k < 78:
		s.deliver(n, f)
	case k < 86:
		if n.up && n.view < len(s.images)-1 {
			s.learn(n, n.view+1)
		}
	case k < 91:
		s.judge(n)
	case k < 97:
		s.repair(n)
	case k < 98:
		s.crash(n)
	case k < 99:
		if b, _ := s.newest().Broker(n.id); !b.Fenced {
			s.apply(cluster.FenceBroker{ID: n.id, Epoch: b.Epoch})
		}
	default:
		_, p, _ := s.newest().Partition(s.tp)
		s.apply(cluster.ElectLeaders{Changes: []cluster.LeaderChange{{TP: s.tp, PartitionEpoch: p.PartitionEpoch, Leader: n.id}}})
	}
	s.settle()
}

// leads returns the replica if n leads.
func (s *tables) leads(n *node) (*partition.Replica, partition.LeadInfo, bool) {
	if !n.up {
		return nil, partition.LeadInfo{}, false
	}
	r, ok := n.table.Get(s.tp)
	if !ok {
		return nil, partition.LeadInfo{}, false
	}
	info, ok := r.Lead()
	return r, info, ok
}

func (s *tables) produce(n *node) {
	r, _, ok := s.leads(n)
	if !ok {
		return
	}
	s.values++
	var value [8]byte
	binary.BigEndian.PutUint64(value[:], uint64(s.values))
	p, err := r.Append(context.Background(), partition.AppendRequest{
		Batch: record.NewBuilder(0).Append(nil, value[:], nil, 0).Bytes(), Acks: partition.AcksAll,
		Deadline: time.Now().Add(time.Hour), Epoch: cluster.NoEpoch,
	})
	if err == nil {
		n.waiting[s.values] = p
		s.logf("b%d appends %d at %d", n.id, s.values, p.BaseOffset())
	}
}

// settle notes what has been acknowledged.
func (s *tables) settle() {
	for _, n := range s.nodes {
		for value, p := range n.waiting {
			select {
			case <-p.Done():
				if p.Err() == nil {
					s.acked[value] = p.BaseOffset()
				}
				delete(n.waiting, value)
			default:
			}
		}
	}
}

// connect opens a session, cutting what diverges.
func (s *tables) connect(n, f *node) {
	r, info, ok := s.leads(n)
	if !ok || n == f || !f.up {
		return
	}
	s.session++
	session := s.session
	pos, err := f.table.OpenFollow(partition.OpenRequest{
		Leader: n.id, TP: s.tp, Epoch: info.Epoch, PartitionEpoch: info.PartitionEpoch, MetaIndex: info.MetaIndex,
		Session: session, LogStart: info.LogStart, LogEnd: info.LogEnd, Sink: f,
	})
	if err != nil {
		return
	}
	r.FollowerClosed(f.id, n.sessions[f.id], "opened anew")
	cut, err := r.CutFor(info.Epoch, pos)
	if err != nil {
		return
	}
	durable, end := pos.DurableEnd, pos.LogEnd
	if cut.Needed {
		f.disk.release()
		if durable, err = f.table.TruncateFollow(context.Background(), s.tp, session, cut); err != nil {
			s.failed(err)
			return
		}
		end = durable
		s.logf("b%d is cut to %d for b%d epoch %d", f.id, cut.To, n.id, info.Epoch)
	}
	if r.FollowerOpened(f.id, info.Epoch, session, pos.BrokerEpoch, durable, end) == nil {
		n.sessions[f.id] = session
		f.table.FollowHighWatermark(s.tp, session, info.HighWatermark)
		r.FollowerLive(f.id, session, true)
	}
}

// failed complains about errors that no fault explains.
func (s *tables) failed(err error) {
	if errors.Is(err, partition.ErrTruncateCommitted) || errors.Is(err, partition.ErrStorage) {
		s.t.Errorf("%v", err)
	}
}

// ship sends one frame of what the follower lacks.
func (s *tables) ship(n, f *node) {
	r, info, ok := s.leads(n)
	session := n.sessions[f.id]
	if !ok || session == 0 || !f.up {
		return
	}
	other, ok := f.table.Get(s.tp)
	if !ok {
		return
	}
	c, err := r.ReadForFollower(info.Epoch, min(other.Info().LogEndOffset, info.LogEnd), 200)
	if err != nil || c.Base == c.Next {
		f.table.FollowHighWatermark(s.tp, session, info.HighWatermark)
		return
	}
	err = f.table.AppendFrom(context.Background(), partition.FollowRequest{
		TP: s.tp, Session: session, Base: c.Base, PrevEpoch: c.PrevEpoch, PrevCRC: c.PrevCRC,
		Batches: bytes.Clone(bytes.Join(c.Batches, nil)), HighWatermark: c.HighWatermark, LogStart: c.LogStart,
	})
	if err != nil {
		s.failed(err)
		f.table.CloseFollow(s.tp, session)
		r.FollowerClosed(f.id, session, err.Error())
		delete(n.sessions, f.id)
	}
}

// deliver hands over the newest ack of the session.
func (s *tables) deliver(n, f *node) {
	r, info, ok := s.leads(n)
	if end, acked := f.acked(n.sessions[f.id]); ok && acked {
		_ = r.FollowerAck(f.id, info.Epoch, n.sessions[f.id], end, end, trace.Ack{}) // a stale one is refused
	}
}

// judge is the controller on what n proposed, if anything.
func (s *tables) judge(n *node) bool {
	p, ok := n.proposal()
	if !n.up || !ok {
		return false
	}
	b, _ := s.images[n.view].Broker(n.id)
	res := s.apply(cluster.AlterISR{Broker: n.id, BrokerEpoch: b.Epoch, Changes: []cluster.ISRChange{{
		TP: p.TP, LeaderEpoch: p.Epoch, PartitionEpoch: p.PartitionEpoch, ISR: p.ISR, Reason: p.Reason,
	}}})
	outcome := isr.OutcomeUnknown
	if res.Err == nil && errors.Is(res.Errs[0], cluster.ErrIneligibleReplica) {
		outcome = isr.OutcomeRejected
	}
	n.table.ProposalResolved(p, outcome)
	return true
}
