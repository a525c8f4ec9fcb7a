package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// commandVersion is the version of the envelope. Fields are only ever added to
// commands; a change that older brokers would misread raises the version, and
// they stop instead of diverging.
const commandVersion = 1

// envelope is a command in the metadata log:
//
//	{"v":1,"type":"fence_broker","command":{"id":2,"epoch":17}}
type envelope struct {
	Version int             `json:"v"`
	Type    commandType     `json:"type"`
	Command json.RawMessage `json:"command"`
}

// Encode turns a command into the bytes of a metadata log entry. Equal commands
// have equal bytes.
func Encode(cmd Command) ([]byte, error) {
	if cmd == nil {
		return nil, fmt.Errorf("encode command: none given: %w", ErrInvalidRequest)
	}
	body, err := json.Marshal(cmd)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", cmd.commandType(), err)
	}
	return json.Marshal(envelope{Version: commandVersion, Type: cmd.commandType(), Command: body})
}

// Decode is the inverse of [Encode]. It refuses other versions and unknown
// types with [ErrInvalidRequest].
func Decode(data []byte) (Command, error) {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("decode command: %w: %w", err, ErrInvalidRequest)
	}
	if e.Version != commandVersion {
		return nil, fmt.Errorf("decode command: version %d, this broker knows %d: %w", e.Version, commandVersion, ErrInvalidRequest)
	}
	if decode, ok := decoders()[e.Type]; ok {
		return decode(e.Command)
	}
	return nil, fmt.Errorf("decode command: unknown type %q: %w", e.Type, ErrInvalidRequest)
}

func decoders() map[commandType]func([]byte) (Command, error) {
	return map[commandType]func([]byte) (Command, error){
		typeInitCluster:         decodeAs[InitCluster],
		typeRegisterBroker:      decodeAs[RegisterBroker],
		typeFenceBroker:         decodeAs[FenceBroker],
		typeUnfenceBroker:       decodeAs[UnfenceBroker],
		typeDrainBroker:         decodeAs[DrainBroker],
		typeFailReplicas:        decodeAs[FailReplicas],
		typeCreateTopic:         decodeAs[CreateTopic],
		typeDeleteTopic:         decodeAs[DeleteTopic],
		typeSetTopicConfigs:     decodeAs[SetTopicConfigs],
		typeAlterISR:            decodeAs[AlterISR],
		typeElectLeaders:        decodeAs[ElectLeaders],
		typeAllocateProducerIDs: decodeAs[AllocateProducerIDs],
	}
}

func decodeAs[C Command](body []byte) (Command, error) {
	var cmd C
	// A missing body would decode to a command full of zeros.
	if len(body) == 0 || bytes.Equal(body, []byte("null")) {
		return nil, fmt.Errorf("decode %s: no command: %w", cmd.commandType(), ErrInvalidRequest)
	}
	if err := json.Unmarshal(body, &cmd); err != nil {
		return nil, fmt.Errorf("decode %s: %w: %w", cmd.commandType(), err, ErrInvalidRequest)
	}
	return cmd, nil
}
