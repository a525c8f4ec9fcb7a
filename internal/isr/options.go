package isr

import (
	"cmp"
	"time"
)

// Options are the limits of the in-sync policy. The zero value of a field means
// its default.
type Options struct {
	// DisconnectGrace is how long an in-sync follower may be without a session
	// that it had, while data is due, before it leaves. It leaves only if
	// min.insync.replicas members remain.
	//
	// The default is 1 second.
	DisconnectGrace time.Duration
	// StallTimeout is how long an in-sync follower may make no progress while
	// data is due, or take to open its first session in an epoch, before it
	// leaves. It leaves only if min.insync.replicas members remain.
	//
	// The default is 3 seconds.
	StallTimeout time.Duration
	// LagTimeMax is how long an in-sync follower may not have been caught up
	// before it leaves, however many remain. Shrinking below
	// min.insync.replicas gains nothing but a quick error for producers, so a
	// stall may take this long to pass.
	//
	// The default is 10 seconds, Kafka's is 30.
	LagTimeMax time.Duration
	// JoinLagMax is the lag up to which a follower on the live lane counts as
	// caught up, so that it may join.
	//
	// The default is 500 milliseconds.
	JoinLagMax time.Duration
	// JoinLagEasy is the lag up to which it joins at once. Producers wait, once,
	// for what it lags when it joins; one that catches up gets there in a moment.
	//
	// The default is 100 milliseconds.
	JoinLagEasy time.Duration
	// JoinEasyWait is how long it has for that before it joins with the lag that
	// it has.
	//
	// The default is 2 seconds.
	JoinEasyWait time.Duration
	// JoinAbandon is how long the high watermark waits for a follower that is
	// about to join and whose join cannot be proposed.
	//
	// The default is 2 seconds.
	JoinAbandon time.Duration
	// FlapWindow is how long a departure counts against a follower: with the
	// k-th one beyond the first it has to stay caught up for 2^k seconds
	// before it may join again.
	//
	// The default is 5 minutes.
	FlapWindow time.Duration
	// RejoinWaitMax bounds that wait.
	//
	// The default is 60 seconds.
	RejoinWaitMax time.Duration
	// ResendInterval is the step by which the pause grows before a proposal of
	// unknown outcome is sent again, up to one second.
	//
	// The default is 50 milliseconds.
	ResendInterval time.Duration
	// ResolveTimeout is how long a proposal stays without word of its outcome,
	// or without the metadata that should follow, before it is sent again.
	//
	// The default is 5 seconds.
	ResolveTimeout time.Duration
	// PauseGap is the time between two Ticks from which this process counts as
	// having been paused. What followers sent meanwhile may still be unread,
	// so that Tick judges nobody.
	//
	// The default is 500 milliseconds, ten times the interval of the broker.
	PauseGap time.Duration
}

// resendMax bounds the pause before a proposal is sent again: the controller
// may be back at any time.
const resendMax = time.Second

func (o Options) withDefaults() Options {
	o.DisconnectGrace = cmp.Or(o.DisconnectGrace, time.Second)
	o.StallTimeout = cmp.Or(o.StallTimeout, 3*time.Second)
	o.LagTimeMax = cmp.Or(o.LagTimeMax, 10*time.Second)
	o.JoinLagMax = cmp.Or(o.JoinLagMax, 500*time.Millisecond)
	o.JoinLagEasy = cmp.Or(o.JoinLagEasy, 100*time.Millisecond)
	o.JoinEasyWait = cmp.Or(o.JoinEasyWait, 2*time.Second)
	o.JoinAbandon = cmp.Or(o.JoinAbandon, 2*time.Second)
	o.FlapWindow = cmp.Or(o.FlapWindow, 5*time.Minute)
	o.RejoinWaitMax = cmp.Or(o.RejoinWaitMax, time.Minute)
	o.ResendInterval = cmp.Or(o.ResendInterval, 50*time.Millisecond)
	o.ResolveTimeout = cmp.Or(o.ResolveTimeout, 5*time.Second)
	o.PauseGap = cmp.Or(o.PauseGap, 500*time.Millisecond)
	return o
}

// clock turns the caller's times into times since the epoch began, which fit a
// word and never run backwards.
type clock struct {
	start  time.Time
	latest time.Duration
	ticked time.Duration // of the last Tick
}

func (c *clock) at(now time.Time) time.Duration {
	c.latest = max(c.latest, now.Sub(c.start))
	return c.latest
}
