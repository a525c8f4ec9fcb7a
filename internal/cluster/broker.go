package cluster

// Broker is one broker's registration. Images share it: treat it as immutable.
type Broker struct {
	ID BrokerID `json:"id"`
	// Epoch is the index of this registration in the metadata log.
	Epoch BrokerEpoch `json:"epoch"`
	// Incarnation is drawn at random by every process.
	Incarnation UUID `json:"incarnation"`
	// Directory identifies the data directory; a wiped one has another id.
	Directory UUID `json:"directory"`
	// Client is where clients connect, Peer where the other brokers do.
	Client Endpoint `json:"client"`
	Peer   Endpoint `json:"peer"`
	// HTTP is the host:port of the observability listener, or empty.
	HTTP    string `json:"http,omitempty"`
	Rack    string `json:"rack,omitempty"`
	Version string `json:"version,omitempty"`
	// Fenced brokers are in no in-sync set and lead nothing.
	Fenced bool `json:"fenced,omitempty"`
	// Draining brokers are about to shut down: they are neither elected nor
	// added to in-sync sets until they register anew.
	Draining bool `json:"draining,omitempty"`
}

// Eligible reports whether b may be elected and may join in-sync sets.
func (b *Broker) Eligible() bool { return !b.Fenced && !b.Draining }
