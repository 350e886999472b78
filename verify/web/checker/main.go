//go:build js && wasm

// Command checker is package verify as a browser runs it: verify/web puts it into a page, which starts it in a worker.
package main

import (
	"context"
	"encoding/json"
	"syscall/js"

	"github.com/smarthausgroup/caio/verify"
)

// result is what the page shows: either an error, or all the rest.
type result struct {
	Error  string            `json:"error,omitempty"` // the trust file can't be used
	Issuer string            `json:"issuer"`          // that the trust file names
	Facts  []verify.Fact     `json:"facts"`
	Shows  map[string]string `json:"shows"` // by layer
	Report verify.Report     `json:"report"`
	Parts  []part            `json:"parts"`
}

// held are the parts of the file that was checked last.
var held []part

func main() {
	js.Global().Set("checkEvidence", js.FuncOf(func(_ js.Value, args []js.Value) any {
		file := make([]byte, args[0].Length())
		js.CopyBytesToGo(file, args[0])
		text, err := json.Marshal(check(file, []byte(args[1].String())))
		if err != nil {
			panic(err) // texts and numbers, which can be encoded
		}
		return string(text)
	}))
	js.Global().Set("readPart", js.FuncOf(func(_ js.Value, args []js.Value) any {
		return held[args[0].Int()].shown()
	}))
	select {}
}

// check runs the layers, all but replay: the evaluators of policies and predicates are not part of the page.
func check(file, trustText []byte) result {
	trust, err := verify.ParseTrust(trustText)
	if err != nil {
		return result{Error: err.Error()}
	}
	ev, verdicts := verify.CheckFile(context.Background(), file, trust, verify.Options{})
	r := result{Issuer: trust.Issuer, Shows: map[string]string{}}
	if ev != nil {
		verdicts = verify.Arrange(append(verdicts, completeness(ev),
			verify.Verdict{Layer: verify.LayerReplay, Status: verify.Skipped, Reason: "this page holds no evaluator of policies: caio verify re-evaluates the decision"}))
		held = unpack(file)
		r.Parts = held
	}
	for _, v := range verdicts {
		r.Shows[v.Layer] = verify.Shows(v.Layer)
	}
	r.Report = verify.NewReport(ev, trust, verdicts, verify.Whole{})
	if r.Report.Facts != nil {
		r.Facts = r.Report.Facts.List()
	}
	return r
}

func completeness(ev *verify.Evidence) verify.Verdict {
	skipped := verify.Verdict{Layer: verify.LayerCompleteness, Status: verify.Skipped, Reason: "the document was erased"}
	if ev.Document == nil {
		return skipped
	}
	d, err := verify.DecodeDocument(ev.Document)
	if err != nil {
		skipped.Reason = "the document could not be read"
		return skipped
	}
	return verify.Judge(verify.LayerCompleteness, verify.Complete(ev, d))
}
