// Package peers compares chronik with Apache Kafka and NATS JetStream: three
// servers of each on this machine, the same load, in turns. docs/benchmarks.md
// says how; `make peers` runs it; its tests have the build tag peers.
package peers
