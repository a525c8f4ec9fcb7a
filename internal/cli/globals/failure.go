package globals

import (
	"errors"
	"fmt"
	"strings"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/out"
	"github.com/chronik-project/chronik/internal/cli/spell"
)

// FailureOf describes an error the way the envelope carries it, with the hint
// that fits its Kafka code. subject is used when the error names none.
func FailureOf(subject string, err error) out.Failure {
	f := out.Failure{Subject: subject, Message: err.Error()}
	if own, ok := errors.AsType[*exit.Error](err); ok {
		f.Hint = own.Hint
	}
	if unknown, ok := errors.AsType[*admin.UnknownTopicError](err); ok {
		f.Hint = unknownTopicHint(unknown)
	}
	if cause, ok := admin.CauseOf(err); ok {
		code := cause.Code
		f.Code, f.KafkaCode, f.Message = cause.Name, &code, cause.Message
		if cause.Subject != "" {
			f.Subject = cause.Subject
		}
		if info, known := admin.LookupCode(cause.Name); known && f.Hint == "" {
			f.Hint = info.Next
		}
	} else if errors.Is(err, admin.ErrUnreachable) {
		f.Code = "UNREACHABLE"
	}
	return f
}

// Failures describes the problems of a report.
func Failures(problems []admin.Problem) []out.Failure {
	var failures []out.Failure
	for _, p := range problems {
		failures = append(failures, FailureOf(p.Subject, p.Err))
	}
	return failures
}

func unknownTopicHint(e *admin.UnknownTopicError) string {
	switch near := spell.Nearest(e.Selector.Topic, e.Known); {
	case e.Partitions > 0:
		return fmt.Sprintf("partitions go from 0 to %d", e.Partitions-1)
	case near != "":
		return fmt.Sprintf("did you mean %q? (chronik topic list)", near)
	case len(e.Known) == 0:
		return "the cluster has no topics yet: chronik topic create " + e.Selector.Topic
	case len(e.Known) <= 5:
		return "there is " + strings.Join(e.Known, ", ")
	default:
		return "chronik topic list shows what there is"
	}
}
