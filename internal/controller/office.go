package controller

import (
	"fmt"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
)

// Office is what a controller remembers and decides in one time in office. It is
// pure: the time, the image and what was heard are arguments. A new controller
// begins with a new one (K35). It is not safe for concurrent use.
type Office struct {
	sessions *sessions
	planner  *planner
}

// NewOffice takes office: every registered broker has as long as if it had just
// been heard of, or what others who miss it leave of that.
func NewOffice(o Options, now time.Time, img *cluster.Image) *Office {
	o = o.withDefaults()
	return &Office{
		sessions: newSessions(o.Self, o.SessionTimeout, o.ProbePause, now, img),
		planner:  newPlanner(o.SlowFsync, o.RebalanceAfter),
	}
}

// Heard notes a heartbeat. A broker of another epoch must register anew; epoch
// zero says that it does not see its registration yet. Connections have numbers
// above zero.
func (o *Office) Heard(now time.Time, conn uint64, beat Heartbeat, img *cluster.Image) error {
	b, ok := img.Broker(beat.Broker)
	if !ok {
		return fmt.Errorf("broker %d: %w", beat.Broker, cluster.ErrUnknownBroker)
	}
	if beat.Epoch != 0 && beat.Epoch != b.Epoch {
		return fmt.Errorf("broker %d epoch %d, registered under %d: %w", beat.Broker, beat.Epoch, b.Epoch, cluster.ErrStaleBrokerEpoch)
	}
	o.sessions.heard(now, connID(conn), beat)
	if beat.AppliedIndex >= img.Index() {
		o.sessions.caughtUp(now, beat.Broker)
	}
	return nil
}

// Members describes the brokers that sent heartbeats, by id.
func (o *Office) Members(now time.Time) []Member { return o.sessions.members(now) }

// Ended notes the end of a connection.
func (o *Office) Ended(now time.Time, id cluster.BrokerID, conn uint64) {
	o.sessions.ended(now, id, connID(conn))
}

// MayRegister refuses another data directory while the process that the id
// belongs to is alive (R12). The same directory is locked by one process only,
// so it may register at once.
func (o *Office) MayRegister(now time.Time, b cluster.Broker, img *cluster.Image) error {
	known, ok := img.Broker(b.ID)
	if !ok || known.Directory == b.Directory || !o.sessions.alive(now, b.ID) {
		return nil
	}
	return fmt.Errorf("broker %d at %s is alive: %w", b.ID, known.Peer, cluster.ErrDuplicateBroker)
}

// Registered starts the session of a new incarnation.
func (o *Office) Registered(now time.Time, id cluster.BrokerID) { o.sessions.registered(now, id) }

// Probes returns the brokers to be dialed now. Each must be answered by
// [Office.Probed].
func (o *Office) Probes(now time.Time, img *cluster.Image) []*cluster.Broker {
	return o.sessions.due(now, img)
}

// Probed says what came of dialing a broker; refused that nobody listens there.
func (o *Office) Probed(now time.Time, id cluster.BrokerID, refused bool) {
	o.sessions.probed(now, id, refused)
}

// Decide returns what is to be changed now: first who is there, then who leads.
func (o *Office) Decide(now time.Time, img *cluster.Image) []cluster.Command {
	if cmds := o.sessions.decide(now, img); len(cmds) > 0 {
		return cmds
	}
	return o.planner.plan(now, img, o.sessions)
}
