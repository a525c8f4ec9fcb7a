package archtest

import "testing"

// recordPathLeast is how many functions recordPath must name for the walk to
// be one: it has that many steps.
const recordPathLeast = 12

func TestEveryArrowIsUsed(t *testing.T) {
	t.Parallel()
	expectNone(t, unusedComplaints(repository(t), mayImport))
	expectNone(t, unusedThirdParty(repository(t)))
}

func TestTheRecordsPathExists(t *testing.T) {
	t.Parallel()
	_, count, err := namedComplaints(repository(t), recordPath)
	if err != nil {
		t.Fatal(err)
	}
	if count < recordPathLeast {
		t.Errorf("%s names %d functions, want at least %d", recordPath, count, recordPathLeast)
	}
}
