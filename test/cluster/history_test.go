package cluster

import (
	"fmt"
	"slices"
	"testing"
)

// entry is one record at its place in a partition. Values are the order in
// which the only producer sent them, so a partition's values always ascend.
type entry struct {
	offset int64
	value  int64
}

// violations says how what was read back from one replica of a partition
// breaks what acks=all and the idempotent producer promise:
//
//   - every acknowledged record is there, at the offset of its acknowledgement;
//   - no record is there twice, whatever was retried;
//   - records stand in the order in which they were sent;
//   - offsets have no holes, as nothing was deleted or compacted.
//
// A record that was sent and not acknowledged may be there or not.
func violations(acked, read []entry) []string {
	var found []string
	at := map[int64]int64{}
	for i, e := range read {
		at[e.offset] = e.value
		if e.offset != int64(i) {
			found = append(found, fmt.Sprintf("record %d of the read has offset %d", i, e.offset))
		}
	}
	ascending := slices.Clone(read)
	slices.SortFunc(ascending, func(a, b entry) int { return int(a.value - b.value) })
	for i := 1; i < len(ascending); i++ {
		a, b := ascending[i-1], ascending[i]
		switch {
		case a.value == b.value:
			found = append(found, fmt.Sprintf("duplicate: value %d at offsets %d and %d", a.value, min(a.offset, b.offset), max(a.offset, b.offset)))
		case a.offset > b.offset:
			found = append(found, fmt.Sprintf("order: value %d at offset %d, value %d at offset %d", a.value, a.offset, b.value, b.offset))
		}
	}
	for _, e := range acked {
		value, ok := at[e.offset]
		switch {
		case !ok:
			found = append(found, fmt.Sprintf("lost: value %d was acknowledged at offset %d, the log ends at %d", e.value, e.offset, len(read)))
		case value != e.value:
			found = append(found, fmt.Sprintf("lost: value %d was acknowledged at offset %d, where value %d stands", e.value, e.offset, value))
		}
	}
	return found
}

// TestViolations breaks a good history in every way that the oracle knows: an
// oracle that passes them all proves nothing.
func TestViolations(t *testing.T) {
	t.Parallel()
	acked := []entry{{0, 1}, {1, 4}, {3, 9}}
	tests := []struct {
		name string
		read []entry
		want []string
	}{
		{name: "as acknowledged", read: []entry{{0, 1}, {1, 4}, {2, 6}, {3, 9}}},
		{name: "unacknowledged tail", read: []entry{{0, 1}, {1, 4}, {2, 6}, {3, 9}, {4, 12}}},
		{
			name: "acknowledged tail is gone",
			read: []entry{{0, 1}, {1, 4}, {2, 6}},
			want: []string{"lost: value 9 was acknowledged at offset 3, the log ends at 3"},
		},
		{
			name: "acknowledged record was replaced",
			read: []entry{{0, 1}, {1, 3}, {2, 6}, {3, 9}},
			want: []string{"lost: value 4 was acknowledged at offset 1, where value 3 stands"},
		},
		{
			name: "retry was appended again",
			read: []entry{{0, 1}, {1, 4}, {2, 4}, {3, 9}},
			want: []string{"duplicate: value 4 at offsets 1 and 2"},
		},
		{
			name: "later record overtook",
			read: []entry{{0, 1}, {1, 4}, {2, 12}, {3, 9}},
			want: []string{"order: value 9 at offset 3, value 12 at offset 2"},
		},
		{
			name: "hole",
			read: []entry{{0, 1}, {1, 4}, {3, 9}},
			want: []string{"record 2 of the read has offset 3"},
		},
		{
			name: "empty replica",
			want: []string{
				"lost: value 1 was acknowledged at offset 0, the log ends at 0",
				"lost: value 4 was acknowledged at offset 1, the log ends at 0",
				"lost: value 9 was acknowledged at offset 3, the log ends at 0",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := violations(acked, tt.read); !slices.Equal(got, tt.want) {
				t.Errorf("violations = %q, want %q", got, tt.want)
			}
		})
	}
}
