package archtest

import (
	"fmt"
	"go/ast"
	"strings"
	"testing"
)

// forbiddenCalls are functions of the standard library that production code
// does without, and what it does instead.
var forbiddenCalls = []struct {
	imported, prefix, instead string
}{
	{imported: "fmt", prefix: "Print", instead: "write to the io.Writer that was given"},
	{imported: "log", prefix: "Fatal", instead: "return an error"},
	{imported: "log", prefix: "Panic", instead: "return an error"},
	{imported: "log", prefix: "Print", instead: "use the injected slog.Logger"},
	{imported: "time", prefix: "Sleep", instead: "wait on a timer in a select, so that the wait can be cancelled"},
	{imported: "os", prefix: "Exit", instead: "return an error; only main exits"},
}

// callComplaints finds uses of forbiddenCalls outside of tests. Only package
// main may exit.
func callComplaints(t *tree) []string {
	var complaints []string
	for _, src := range t.sources {
		if src.test {
			continue
		}
		imported := map[string]bool{}
		for _, p := range src.imports() {
			imported[p] = true
		}
		ast.Inspect(src.file, func(node ast.Node) bool {
			sel, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok || !imported[pkg.Name] {
				return true
			}
			for _, call := range forbiddenCalls {
				if pkg.Name != call.imported || !strings.HasPrefix(sel.Sel.Name, call.prefix) {
					continue
				}
				if call.imported == "os" && src.file.Name.Name == "main" {
					continue
				}
				complaints = append(complaints, fmt.Sprintf("%s uses %s.%s: %s", t.pos(sel), pkg.Name, sel.Sel.Name, call.instead))
			}
			return true
		})
	}
	return complaints
}

func TestForbiddenCalls(t *testing.T) {
	t.Parallel()
	expectNone(t, callComplaints(repository(t)))
}
