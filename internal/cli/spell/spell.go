// Package spell finds the word that was probably meant.
package spell

import "strings"

// most is how many edits a suggestion may be away: beyond two it is a guess.
const most = 2

// Nearest returns the candidate that differs least from word: by at most two
// edits, or by having word as its beginning. It returns "" when none is near.
func Nearest(word string, candidates []string) string {
	best, bestEdits := "", most+1
	lower := strings.ToLower(word)
	for _, candidate := range candidates {
		if edits := Edits(lower, strings.ToLower(candidate)); edits < bestEdits && edits < len(candidate) {
			best, bestEdits = candidate, edits
		}
	}
	if best != "" || len(word) < 2 {
		return best
	}
	for _, candidate := range candidates {
		if strings.HasPrefix(strings.ToLower(candidate), lower) {
			return candidate
		}
	}
	return ""
}

// Edits returns how many single-letter insertions, deletions, replacements and
// swaps of neighbours turn a into b.
func Edits(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
