// Package replication keeps followers in step: it pushes what the partitions
// led here append to the brokers that follow them, and appends what other
// leaders push to the partitions followed here.
//
// It owns the connections between brokers that carry data, the frames on them
// and the sessions within them. It does not know what a log looks like on disk,
// who is in sync or what is committed: package partition decides all of that,
// and is called from here.
//
// # Links and lanes
//
// For every ordered pair of brokers there is one link. Its sender, on the
// leader's side, dials two connections: the live lane, which carries every
// control frame, every acknowledgement and the data of followers that are
// nearly caught up, and the bulk lane, which carries nothing but the data of
// followers that are far behind. Catching up can therefore never delay an
// acknowledgement that a producer waits for. The bulk connection lives within
// the live one: when the live connection is lost, every session of the link is.
//
// # Sessions
//
// A session is one follower of one partition in one leader epoch on one live
// connection:
//
//	              lost, or Err
//	     +----------------------------------------------------+
//	     v                                                    |
//	connecting --> opening --> truncating --> catching up <--> live
//	                 |  ^           (skipped when the logs agree)
//	                 v  |
//	                parked
//
// A session is a cursor into the leader's log, never a queue: what a slow
// follower has not received yet is read from the log when it can take it, so it
// costs disk reads instead of memory and nothing is ever dropped.
//
// The files are split along that line: frame*.go are the bytes; session.go and
// window.go the pure state machine; link.go with dial.go, live.go, bulk.go,
// plan.go, answer.go and end.go the leader's side; inbound.go with admit.go,
// follow.go and outbox.go the follower's; manager.go and reconcile.go tie them
// to the metadata.
package replication
