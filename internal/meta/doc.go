// Package meta replicates cluster.Apply: commands go in on the leader, and every
// broker gets the same sequence of immutable images out. Raft is the real thing,
// Memory a log of one process for tests; nobody else imports raft. The package
// knows nothing of what the commands mean.
package meta
