package host

import (
	"fmt"
	"slices"
	"strings"
)

// drop is a fault that loses packets on the bridge: rules of nft, each with
// the packets it matches.
type drop []string

// oneWay loses everything that one host sends to another.
func oneWay(from, to int) string {
	return fmt.Sprintf("ip saddr %s ip daddr %s drop", Address(from), Address(to))
}

// cutBetween loses everything between each host of one side and each of the
// other.
func cutBetween(side, other []int) drop {
	var d drop
	for _, a := range side {
		for _, b := range other {
			if a != b {
				d = append(d, oneWay(a, b), oneWay(b, a))
			}
		}
	}
	return d
}

// partition separates every group from every other.
func partition(groups [][]int) drop {
	var d drop
	for i, group := range groups {
		for _, other := range groups[i+1:] {
			d = append(d, cutBetween(group, other)...)
		}
	}
	return d
}

// ring leaves every host a majority, itself included, which is another one for
// each.
func ring(hosts []int) drop {
	var d drop
	size := len(hosts)
	reach := size/2/2 + size/2%2 // neighbours on each side: half of the majority without itself
	for i := range hosts {
		for j := i + 1; j < size; j++ {
			if distance := min(j-i, size-(j-i)); distance > reach {
				d = append(d, cutBetween(hosts[i:i+1], hosts[j:j+1])...)
			}
		}
	}
	return d
}

// toPort loses what one host sends to a port of another.
func toPort(from, to, port int) string {
	return fmt.Sprintf("ip saddr %s ip daddr %s tcp dport %d drop", Address(from), Address(to), port)
}

// lossy loses a fraction of what a host sends and of what it is sent.
func lossy(host int, fraction float64) drop {
	const whole = 1_000_000
	lost := int(fraction * whole)
	chance := fmt.Sprintf("numgen random mod %d < %d drop", whole, lost)
	switch lost {
	case 0:
		return nil
	case whole: // nft does not take a condition that is always true
		chance = "drop"
	}
	return drop{
		fmt.Sprintf("ip saddr %s %s", Address(host), chance),
		fmt.Sprintf("ip daddr %s %s", Address(host), chance),
	}
}

// ruleset replaces all rules of the bridge by those of the faults, at once.
func ruleset(drops map[int]drop) string {
	var s strings.Builder
	// Added first, so that there is one to delete.
	s.WriteString("add table bridge faults\ndelete table bridge faults\n")
	s.WriteString("table bridge faults {\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n")
	// Frames of a host behind a slow cable come by a bridge of its own too.
	fmt.Fprintf(&s, "\t\tiifname %q accept\n\t\toifname %q accept\n", nearEnd+"*", nearEnd+"*")
	numbers := make([]int, 0, len(drops))
	for number := range drops {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	for _, number := range numbers {
		for _, rule := range drops[number] {
			fmt.Fprintf(&s, "\t\t%s\n", rule)
		}
	}
	s.WriteString("\t}\n}\n")
	return s.String()
}

// nearEnd begins the name of the host's end of a slow cable.
const nearEnd = "near"
