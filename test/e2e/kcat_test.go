//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestKcat covers librdkafka: every compression it has, keys, headers, values
// of any bytes, metadata and offset queries, and the idempotent producer.
func TestKcat(t *testing.T) {
	c := start(t)
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) { roundTrip(t, c, codec) })
	}
	t.Run("any bytes", func(t *testing.T) { anyBytes(t, c) })
	t.Run("headers", func(t *testing.T) { headers(t, c) })
	t.Run("metadata", func(t *testing.T) { metadata(t, c) })
}

// acksAll are the properties of every producer here.
var acksAll = []string{"-X", "acks=all", "-X", "enable.idempotence=true"}

func roundTrip(t *testing.T, c *cluster, codec string) {
	const partitions, records = 3, 500
	topic := "kcat-" + codec
	c.chronik(t, "topic", "create", topic, "-p", strconv.Itoa(partitions), "-r", "3")
	for p := range partitions {
		partition := strconv.Itoa(p)
		var sent, want strings.Builder
		for i := range records {
			fmt.Fprintf(&sent, "key-%d\tvalue %d of partition %d\n", i, i, p)
			fmt.Fprintf(&want, "%d\tkey-%d\tvalue %d of partition %d\n", i, i, i, p)
		}
		args := append([]string{"-P", "-t", topic, "-p", partition, "-K", "\t", "-z", codec}, acksAll...)
		c.kcat(t, sent.String(), args...)
		got := c.kcat(t, "", "-C", "-t", topic, "-p", partition, "-o", "beginning", "-e", "-f", `%o\t%k\t%s\n`)
		equal(t, topic+" partition "+partition, got, want.String())

		equal(t, "tail of "+topic, c.kcat(t, "", "-C", "-t", topic, "-p", partition, "-o", "-2", "-e", "-f", `%o\n`),
			fmt.Sprintf("%d\n%d\n", records-2, records-1))
		for query, offset := range map[string]int{"-1": records, "-2": 0} {
			equal(t, "offset query "+query, c.kcat(t, "", "-Q", "-t", topic+":"+partition+":"+query),
				fmt.Sprintf("%s [%s] offset %d\n", topic, partition, offset))
		}
	}
}

// anyBytes sends a file as one record of almost the largest size allowed.
func anyBytes(t *testing.T, c *cluster) {
	c.chronik(t, "topic", "create", "any-bytes", "-p", "1", "-r", "3")
	seed := rand.Uint64()
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	value := make([]byte, 900_000)
	_, _ = random.Read(value) // never fails
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, value, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-P", "-t", "any-bytes", "-p", "0"}, acksAll...)
	c.kcat(t, "", append(args, file)...)
	if got := c.kcat(t, "", "-C", "-t", "any-bytes", "-p", "0", "-o", "beginning", "-e", "-f", "%s"); got != string(value) {
		t.Errorf("read %d bytes that differ from the %d sent, seed %d", len(got), len(value), seed)
	}
}

func headers(t *testing.T, c *cluster) {
	c.chronik(t, "topic", "create", "headers", "-p", "1", "-r", "3")
	args := append([]string{"-P", "-t", "headers", "-p", "0", "-H", "trace=7f3a", "-H", "empty="}, acksAll...)
	c.kcat(t, "with headers\n", args...)
	equal(t, "headers", c.kcat(t, "", "-C", "-t", "headers", "-p", "0", "-o", "beginning", "-e", "-f", `%h %s\n`),
		"trace=7f3a,empty= with headers\n")
}

func metadata(t *testing.T, c *cluster) {
	c.chronik(t, "topic", "create", "metadata", "-p", "6", "-r", "3")
	var got struct {
		Brokers []struct {
			ID   int    `json:"id"`
			Name string `json:"name"`
		} `json:"brokers"`
		Topics []struct {
			Topic      string `json:"topic"`
			Partitions []struct {
				Leader   int                `json:"leader"`
				Replicas []struct{ ID int } `json:"replicas"`
				ISRs     []struct{ ID int } `json:"isrs"`
			} `json:"partitions"`
		} `json:"topics"`
	}
	if err := json.Unmarshal([]byte(c.kcat(t, "", "-L", "-J", "-t", "metadata")), &got); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, b := range got.Brokers {
		names = append(names, b.Name)
	}
	slices.Sort(names)
	want := slices.Sorted(slices.Values(c.Bootstrap()))
	if !slices.Equal(names, want) {
		t.Errorf("brokers %v, want %v", names, want)
	}
	if len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 6 {
		t.Fatalf("topics %+v, want one with 6 partitions", got.Topics)
	}
	for i, p := range got.Topics[0].Partitions {
		if p.Leader < 1 || p.Leader > 3 || len(p.Replicas) != 3 || len(p.ISRs) != 3 {
			t.Errorf("partition %d: %+v, want a leader, 3 replicas and 3 in sync", i, p)
		}
	}
}
