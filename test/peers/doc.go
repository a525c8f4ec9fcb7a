// Package peers compares chronik with Apache Kafka: three brokers of each on this
// machine, the same client, the same load, in turns. `make peers` runs it; its
// tests have the build tag peers.
package peers
