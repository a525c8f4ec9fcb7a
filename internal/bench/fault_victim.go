package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// victim finds whom a step hits.
func (f *faultRunner) victim(ctx context.Context, step FaultStep) (Victim, error) {
	v := Victim{Broker: step.Broker, Topic: f.target.topic, Partition: step.Partition, Leader: -1}
	state, err := f.look(ctx)
	var p PartitionState
	for _, one := range state {
		if one.Partition == step.Partition {
			p = one
			v.Leader = p.Leader
		}
	}
	switch {
	case step.Broker >= 0:
	case step.Role != "" && err != nil:
		return v, fmt.Errorf("find the %s of partition %d: %w", step.Role, step.Partition, err)
	case step.Role == FaultLeader:
		v.Broker = v.Leader
	case step.Role == FaultFollower:
		for _, id := range p.Replicas {
			if id != p.Leader && v.Broker < 0 {
				v.Broker = id
			}
		}
	default:
		for _, o := range f.open { // the last fault that the step undoes
			if faultUndo[f.config.Faults[o].Verb] == step.Verb {
				v.Broker = f.victims[o].Broker
			}
		}
	}
	if v.Broker < 0 {
		return v, errors.New("there is no such broker now")
	}
	v.Address = addressOf(f.brokers, v.Broker)
	return v, nil
}

// addressOf returns HOST:PORT for clients of a broker; empty: not told.
func addressOf(brokers []BrokerEnvironment, id int32) string {
	for _, b := range brokers {
		if b.ID == id {
			return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		}
	}
	return ""
}

func whatItLed(v Victim) string {
	switch {
	case v.Leader == v.Broker:
		return fmt.Sprintf(", the leader of partition %d", v.Partition)
	case v.Leader >= 0:
		return fmt.Sprintf(" (broker %d leads partition %d)", v.Leader, v.Partition)
	default:
		return ""
	}
}
