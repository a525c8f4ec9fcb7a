package cluster

// Delta is what differs between two images.
type Delta struct {
	// Changed holds the topics, by name, that are new or of which anything changed.
	Changed []*Topic
	// Deleted holds the topics of the old image whose id is gone.
	Deleted []*Topic
	// Brokers holds the ids of brokers whose registration is new or changed.
	Brokers []BrokerID
}

// Diff compares two images by what they share: what is the same object in both
// did not change. It costs one pass over topics and brokers.
func Diff(older, newer *Image) Delta {
	var d Delta
	if older == newer {
		return d
	}
	for _, t := range newer.topics {
		if older.byID[t.ID] != t {
			d.Changed = append(d.Changed, t)
		}
	}
	for _, t := range older.topics {
		if _, ok := newer.byID[t.ID]; !ok {
			d.Deleted = append(d.Deleted, t)
		}
	}
	for _, b := range newer.brokers {
		if was, ok := older.Broker(b.ID); !ok || was != b {
			d.Brokers = append(d.Brokers, b.ID)
		}
	}
	return d
}
