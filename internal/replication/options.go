package replication

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/peer"
)

// Options configures a [Manager]. Zero values mean the defaults named here.
type Options struct {
	// Self is this broker.
	Self cluster.BrokerID
	// Table holds this broker's replicas.
	Table *partition.Table
	// Network is what other brokers are dialled on.
	Network peer.Network
	// Hello returns what this broker says of itself when it dials: [peer.Mux.Hello].
	Hello func(kind peer.Kind, to cluster.BrokerID) peer.Hello
	// Logger receives state changes; nil discards them.
	Logger *slog.Logger
	// LastFsync returns how long the disk took for the round that is about to be
	// acknowledged. Leaders show it, to tell a slow disk from a slow network.
	//
	// The default says nothing.
	LastFsync func() time.Duration
	// BulkBytesPerSecond limits what followers of this broker catch up with, per
	// follower.
	//
	// The default is no limit.
	BulkBytesPerSecond int
	// MaxFrameBytes refuses larger frames from another broker. It must have room
	// for the largest batch of any topic.
	//
	// The default is 128 MiB.
	MaxFrameBytes int

	Windows
	Times
}

// Windows bound the bytes that were sent and are not known to be on the
// follower's disk. They bound the memory that a slow follower costs on both
// sides: when one is full, the link reads nothing more from the log.
type Windows struct {
	// LiveWindowBytes is the window of one partition on the live lane, and the
	// lag up to which a follower starts there.
	//
	// The default is 1 MiB.
	LiveWindowBytes int
	// BulkWindowBytes is the window of one partition on the bulk lane, and the
	// lag beyond which a follower is sent back there.
	//
	// The default is 8 MiB.
	BulkWindowBytes int
	// LiveLinkBytes is the live lane's window over all partitions. All lanes
	// that lead to a broker should fit into its write buffer together, or data
	// that is new waits there behind data that is not.
	//
	// The default is 8 MiB.
	LiveLinkBytes int
	// BulkLinkBytes is the bulk lane's window over all partitions.
	//
	// The default is 8 MiB.
	BulkLinkBytes int
}

// Times of a link.
type Times struct {
	// MinRedial and MaxRedial bound the wait between two attempts to dial.
	//
	// The defaults are 20 ms and 1 s.
	MinRedial, MaxRedial time.Duration
	// DialTimeout bounds one attempt.
	//
	// The default is 1 s.
	DialTimeout time.Duration
	// PingInterval is how often the sending side asks for a sign of life.
	//
	// The default is 500 ms.
	PingInterval time.Duration
	// DeadAfter is how long a connection may be silent, or refuse to take
	// anything, before it is given up. It is longer than the in-sync policy's
	// stall time, so that a frozen follower is reported as one and not as a lost
	// connection.
	//
	// The default is 4 s.
	DeadAfter time.Duration
	// BulkStall is DeadAfter for the bulk lane, whose frames may wait for room
	// to append at the follower.
	//
	// The default is 10 s.
	BulkStall time.Duration
	// WatermarkDelay is how long a new high watermark waits for data to carry it
	// to the followers.
	//
	// The default is 5 ms.
	WatermarkDelay time.Duration
	// ParkFor is how long an Open waits for metadata before it is given back.
	//
	// The default is 5 s.
	ParkFor time.Duration
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.LastFsync == nil {
		o.LastFsync = func() time.Duration { return 0 }
	}
	o.MaxFrameBytes = cmp.Or(o.MaxFrameBytes, 128<<20)
	o.LiveWindowBytes = cmp.Or(o.LiveWindowBytes, 1<<20)
	o.BulkWindowBytes = cmp.Or(o.BulkWindowBytes, 8<<20)
	o.LiveLinkBytes = cmp.Or(o.LiveLinkBytes, 8<<20)
	o.BulkLinkBytes = cmp.Or(o.BulkLinkBytes, 8<<20)
	o.MinRedial = cmp.Or(o.MinRedial, 20*time.Millisecond)
	o.MaxRedial = cmp.Or(o.MaxRedial, time.Second)
	o.DialTimeout = cmp.Or(o.DialTimeout, time.Second)
	o.PingInterval = cmp.Or(o.PingInterval, 500*time.Millisecond)
	o.DeadAfter = cmp.Or(o.DeadAfter, 4*time.Second)
	o.BulkStall = cmp.Or(o.BulkStall, 10*time.Second)
	o.WatermarkDelay = cmp.Or(o.WatermarkDelay, 5*time.Millisecond)
	o.ParkFor = cmp.Or(o.ParkFor, 5*time.Second)
	return o
}
