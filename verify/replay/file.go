package replay

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/verify"
)

// CheckFile runs every layer over the bytes of an evidence file, in the order of the page. The evidence is nil where it could not be read.
//
// Policies are programs. So nothing is evaluated unless the document is the one that was signed: a stranger can't make an auditor run his.
func CheckFile(ctx context.Context, file []byte, trust verify.Trust, o Options) (*verify.Evidence, []verify.Verdict) {
	ev, verdicts := verify.CheckFile(ctx, file, trust, o.Options)
	if ev == nil {
		return nil, verdicts
	}
	d, err := verify.DecodeDocument(ev.Document)
	if err != nil {
		return ev, verify.Arrange(append(verdicts, unread(ev)...))
	}
	completeness := verify.Judge(verify.LayerCompleteness, verify.Complete(ev, d))
	again := verify.Verdict{Layer: verify.LayerReplay, Status: verify.Skipped}
	if failed := unsigned(verdicts); failed == nil {
		again = check(ctx, ev, d, o)
	} else {
		again.Reason = "not run: policies are programs, and " + strings.Join(failed, " and ") + " failed"
	}
	return ev, verify.Arrange(append(verdicts, completeness, again))
}

// unsigned are the layers that bind the evidence to a trusted signature and did not hold.
func unsigned(verdicts []verify.Verdict) (failed []string) {
	for _, v := range verdicts {
		if v.Status == verify.Fail && (v.Layer == verify.LayerSignature || v.Layer == verify.LayerDocument) {
			failed = append(failed, v.Layer)
		}
	}
	return failed
}

func unread(ev *verify.Evidence) []verify.Verdict {
	reason := "the document could not be read"
	if ev.Document == nil {
		reason = "the document was erased"
	}
	return []verify.Verdict{
		{Layer: verify.LayerCompleteness, Status: verify.Skipped, Reason: reason},
		{Layer: verify.LayerReplay, Status: verify.Skipped, Reason: reason},
	}
}

// check is the layer replay, inconclusive where it takes too long. An evaluation that does not heed its context is left behind.
func check(ctx context.Context, ev *verify.Evidence, d *verify.Document, o Options) verify.Verdict {
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	verdict := make(chan verify.Verdict, 1)
	go func() {
		r := replaying{ev: ev, document: d, options: o}
		verdict <- r.check(ctx)
	}()
	select {
	case v := <-verdict:
		return v
	case <-ctx.Done():
		return ended(ctx, o.Timeout)
	}
}

// ended says why a re-evaluation did not come to its end.
func ended(ctx context.Context, timeout time.Duration) verify.Verdict {
	reason := "the re-evaluation did not end: " + ctx.Err().Error()
	if ctx.Err() == context.DeadlineExceeded && timeout > 0 {
		reason = fmt.Sprintf("the re-evaluation took longer than %s", timeout)
	}
	return verify.Verdict{Layer: verify.LayerReplay, Status: verify.Inconclusive, Reason: reason}
}
