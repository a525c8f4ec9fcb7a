package archtest

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// invariantsPath is the document that has every invariant under its number.
const invariantsPath = "docs/invariants.md"

var (
	// invariant is a number in the text of a comment: I12, L1, M5, S3, W4.
	invariant = regexp.MustCompile(`\b[ILMSW][1-9][0-9]?\b`)
	// invariantRow is the row of the document that explains one.
	invariantRow = regexp.MustCompile(`(?m)^\| ([ILMSW][1-9][0-9]?) \|`)
)

// invariantComplaints compares the invariants that comments below internal/ cite
// with the rows of the document. One that only tests cite is not kept anywhere.
func invariantComplaints(t *tree) (complaints []string, rows int, err error) {
	text, err := fs.ReadFile(t.files, invariantsPath)
	if err != nil {
		return nil, 0, err
	}
	cited := map[string]bool{}
	for _, m := range invariantRow.FindAllStringSubmatch(string(text), -1) {
		if _, twice := cited[m[1]]; twice {
			complaints = append(complaints, fmt.Sprintf("%s explains %s twice", invariantsPath, m[1]))
		}
		cited[m[1]] = false
	}
	for _, src := range t.sources {
		if !strings.HasPrefix(src.name, "internal/") || strings.HasPrefix(src.name, "internal/archtest/") {
			continue
		}
		for _, group := range src.file.Comments {
			for _, number := range invariant.FindAllString(group.Text(), -1) {
				if _, ok := cited[number]; !ok {
					complaints = append(complaints, fmt.Sprintf("%s: %s has no row in %s", t.pos(group), number, invariantsPath))
				} else if !src.test {
					cited[number] = true
				}
			}
		}
	}
	for number, ok := range cited {
		if !ok {
			complaints = append(complaints, fmt.Sprintf("%s explains %s, which no code cites", invariantsPath, number))
		}
	}
	return complaints, len(cited), nil
}

func TestInvariantsHaveOneNumber(t *testing.T) {
	t.Parallel()
	complaints, rows, err := invariantComplaints(repository(t))
	if err != nil {
		t.Fatal(err)
	}
	expectNone(t, complaints)
	if rows < 30 {
		t.Errorf("%s has %d rows: the pattern does not match them any more", invariantsPath, rows)
	}
}

func TestInvariantComplaints(t *testing.T) {
	t.Parallel()
	broken, err := load(fstest.MapFS{
		invariantsPath:            {Data: []byte("| I1 | kept |\n| I1 | again |\n| I2 | of tests |\n")},
		"internal/p/p.go":         {Data: []byte("// Package p keeps I1 and I3.\npackage p\n")},
		"internal/p/p_test.go":    {Data: []byte("package p\n\n// It looks at I2.\n")},
		"internal/archtest/no.go": {Data: []byte("package archtest // I9 is not cited here\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	complaints, _, err := invariantComplaints(broken)
	if err != nil || len(complaints) != 3 {
		t.Errorf("%d complaints, want 3: %q, %v", len(complaints), complaints, err)
	}
}
