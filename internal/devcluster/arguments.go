package devcluster

import (
	"fmt"
	"slices"
	"strings"
)

func (c *Cluster) arguments(i int) []string {
	b := c.layout[i]
	args := []string{
		"server", "start", "--node-id", fmt.Sprint(b.ID), "--data-dir", b.DataDir,
		"--listen", b.Address, "--peer-listen", b.Peer, "--http-listen", b.HTTP,
		// A cluster that stops as a whole has nowhere to move leaderships to.
		"--drain-timeout", "2s",
	}
	if len(c.layout) > 1 {
		peers := make([]string, len(c.layout))
		for j, peer := range c.layout {
			address := peer.Peer
			if c.links != nil {
				address = c.links.to[j]
			}
			peers[j] = fmt.Sprintf("%d@%s", peer.ID, address)
		}
		args = append(args, "--peers", strings.Join(peers, ","))
	}
	return replace(args, c.options.Args)
}

// replace appends arguments, without the flags of before that they set anew.
func replace(before, args []string) []string {
	var all []string
	for i := 0; i < len(before); i++ {
		if strings.HasPrefix(before[i], "--") && slices.Contains(args, before[i]) {
			i++ // and its value
			continue
		}
		all = append(all, before[i])
	}
	return append(all, args...)
}
