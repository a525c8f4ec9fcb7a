package api

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/partition"
	"github.com/chronik-project/chronik/internal/producer"
	"github.com/chronik-project/chronik/internal/record"
)

// wantCodes has every cause that the packages below can return, by the name of
// its variable. -1 is the code of what cannot reach a client: those causes are
// between brokers, and should one get here all the same it is not success.
func wantCodes() map[string]struct {
	cause error
	want  code
} {
	type row = struct {
		cause error
		want  code
	}
	return map[string]row{
		"partition.ErrNotLeader":                    {partition.ErrNotLeader, 6},
		"partition.ErrNotEnoughReplicas":            {partition.ErrNotEnoughReplicas, 19},
		"partition.ErrNotEnoughReplicasAfterAppend": {partition.ErrNotEnoughReplicasAfterAppend, 20},
		"partition.ErrTimedOut":                     {partition.ErrTimedOut, 7},
		"partition.ErrOffsetOutOfRange":             {partition.ErrOffsetOutOfRange, 1},
		"partition.ErrOffsetNotAvailable":           {partition.ErrOffsetNotAvailable, 78},
		"partition.ErrFencedEpoch":                  {partition.ErrFencedEpoch, 74},
		"partition.ErrUnknownEpoch":                 {partition.ErrUnknownEpoch, 75},
		"partition.ErrNotReady":                     {partition.ErrNotReady, 6},
		"partition.ErrRemoved":                      {partition.ErrRemoved, 3},
		"partition.ErrStaleSession":                 {partition.ErrStaleSession, -1},
		"partition.ErrDiverged":                     {partition.ErrDiverged, -1},
		"partition.ErrTruncateCommitted":            {partition.ErrTruncateCommitted, -1},
		"partition.ErrStorage":                      {partition.ErrStorage, 56},
		"partition.ErrDiskFull":                     {partition.ErrDiskFull, 56},
		"partition.ErrBusy":                         {partition.ErrBusy, 7},

		"producer.ErrOutOfOrderSequence":   {producer.ErrOutOfOrderSequence, 45},
		"producer.ErrInvalidProducerEpoch": {producer.ErrInvalidProducerEpoch, 47},
		"producer.ErrTransactional":        {producer.ErrTransactional, 48},
		"producer.ErrCorruptSnapshot":      {producer.ErrCorruptSnapshot, -1},

		"record.ErrTooLarge":         {record.ErrTooLarge, 10},
		"record.ErrUnsupportedMagic": {record.ErrUnsupportedMagic, 43},
		"record.ErrCorrupt":          {record.ErrCorrupt, 2},
		"record.ErrShort":            {record.ErrShort, 2},
		"record.ErrInvalid":          {record.ErrInvalid, 87},
		"record.ErrCompressed":       {record.ErrCompressed, -1},

		"cluster.ErrTopicExists":              {cluster.ErrTopicExists, 36},
		"cluster.ErrUnknownTopic":             {cluster.ErrUnknownTopic, 3},
		"cluster.ErrInvalidTopic":             {cluster.ErrInvalidTopic, 17},
		"cluster.ErrUnknownBroker":            {cluster.ErrUnknownBroker, -1},
		"cluster.ErrStaleBrokerEpoch":         {cluster.ErrStaleBrokerEpoch, 77},
		"cluster.ErrDuplicateBroker":          {cluster.ErrDuplicateBroker, -1},
		"cluster.ErrFencedLeaderEpoch":        {cluster.ErrFencedLeaderEpoch, -1},
		"cluster.ErrUnknownLeaderEpoch":       {cluster.ErrUnknownLeaderEpoch, -1},
		"cluster.ErrInvalidUpdateVersion":     {cluster.ErrInvalidUpdateVersion, -1},
		"cluster.ErrIneligibleReplica":        {cluster.ErrIneligibleReplica, -1},
		"cluster.ErrNotLeader":                {cluster.ErrNotLeader, -1},
		"cluster.ErrInvalidConfig":            {cluster.ErrInvalidConfig, 40},
		"cluster.ErrInvalidRequest":           {cluster.ErrInvalidRequest, 42},
		"cluster.ErrInvalidReplicaAssignment": {cluster.ErrInvalidReplicaAssignment, 39},
		"cluster.ErrInvalidReplicationFactor": {cluster.ErrInvalidReplicationFactor, 38},
		"cluster.ErrInvalidPartitions":        {cluster.ErrInvalidPartitions, 37},
		"cluster.ErrClusterInitialized":       {cluster.ErrClusterInitialized, -1},

		"api.ErrNoController":          {ErrNoController, 41},
		"api.errUnknownTopicID":        {errUnknownTopicID, 100},
		"api.errNoLeader":              {errNoLeader, 5},
		"api.errRequiredAcks":          {errRequiredAcks, 21},
		"api.errTransactions":          {errTransactions, 48},
		"api.errCompressionType":       {errCompressionType, 76},
		"api.errUnsupportedVersion":    {errUnsupportedVersion, 35},
		"api.errReplicaFetch":          {errReplicaFetch, 42},
		"api.errSessionNotFound":       {errSessionNotFound, 70},
		"api.errSessionEpoch":          {errSessionEpoch, 71},
		"api.errSessionTopicIDs":       {errSessionTopicIDs, 106},
		"api.errLoading":               {errLoading, 14},
		"api.errEndpointType":          {errEndpointType, 114},
		"api.errUnknownEndpointType":   {errUnknownEndpointType, 115},
		"api.errSuccessWithoutOffset":  {errSuccessWithoutOffset, -1},
		"api.errInternalTopicReserved": {errInternalTopicReserved, 17},
	}
}

func TestEveryCauseHasItsCode(t *testing.T) {
	t.Parallel()
	for name, row := range wantCodes() {
		if got := codeOf(row.cause); got != row.want {
			t.Errorf("%s: code %d, want %d", name, got, row.want)
		}
		wrapped := &partition.Error{Topic: "orders", Op: "append", Err: fmt.Errorf("wrapped: %w", row.cause)}
		if got := codeOf(wrapped); got != row.want {
			t.Errorf("%s in a partition error: code %d, want %d", name, got, row.want)
		}
	}
	for name, row := range map[string]struct {
		err  error
		want code
	}{
		"no error":     {nil, codeNone},
		"unknown":      {errors.New("something else"), codeUnknownServerError},
		"deadline":     {fmt.Errorf("create: %w", context.DeadlineExceeded), codeRequestTimedOut},
		"cancellation": {context.Canceled, codeRequestTimedOut},
		// A definite cause is told even if the deadline passed as well.
		"storage, late": {errors.Join(context.DeadlineExceeded, partition.ErrStorage), codeStorageError},
	} {
		if got := codeOf(row.err); got != row.want {
			t.Errorf("%s: code %d, want %d", name, got, row.want)
		}
	}
}

// A cause that is added below without a decision on its code fails here.
func TestNoCauseIsForgotten(t *testing.T) {
	t.Parallel()
	known := wantCodes()
	for _, pkg := range []string{"api", "partition", "producer", "record", "cluster"} {
		for _, name := range sentinels(t, filepath.Join("..", pkg)) {
			if _, ok := known[pkg+"."+name]; !ok {
				t.Errorf("%s.%s has no row in wantCodes", pkg, name)
			}
		}
	}
}

// sentinels lists the package-level variables of a package that hold errors.
func sentinels(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, entry.Name()), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					// A cause that other packages cannot name is wrapped by one they can.
					own := filepath.Base(dir) == "api"
					if strings.HasPrefix(strings.ToLower(name.Name), "err") && (own || name.IsExported()) {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

func TestSuccessNeedsAnOffset(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]appended{
		"neither pending nor error": {},
		"an error":                  {err: errors.New("something else")},
		"an error and a pending":    {pending: &partition.Pending{}, err: partition.ErrTimedOut},
	} {
		part := outcome.response(0)
		if part.ErrorCode == 0 || part.BaseOffset != -1 {
			t.Errorf("%s: code %d, base offset %d; want an error and -1", name, part.ErrorCode, part.BaseOffset)
		}
	}
}
