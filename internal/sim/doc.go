// Package sim holds tests that let whole clusters live through random
// schedules, one step at a time, in one goroutine, from one seed.
//
// The state machines that decide what is committed and who may lead are the
// real ones: [isr.State], [cluster.Apply] and [producer.State]. Around them
// stands a thin model of what surrounds them in a broker: a log in memory that
// may lose power, sessions between leader and followers, a network that loses,
// repeats and delays, metadata that every broker learns at its own pace. It
// follows the packages partition and replication rule by rule, and it does so
// without locks, goroutines and files, so that some thousand schedules pass in
// a second.
//
// What the model stands for runs as well, some hundred times less often: real
// tables of package partition, on disks in memory that are slow and lose power.
//
// A checker that finds nothing proves little unless it is known to find
// something. So every rule of the replication protocol that is needed to keep
// acknowledged records can be broken, one at a time, and the tests demand that
// the loss that follows is found.
//
// [isr.State]: github.com/chronik-project/chronik/internal/isr
// [cluster.Apply]: github.com/chronik-project/chronik/internal/cluster
// [producer.State]: github.com/chronik-project/chronik/internal/producer
package sim
