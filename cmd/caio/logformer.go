package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
	"github.com/spf13/cobra"
)

// formerLog is what `caio log verify` found of a log that was given up.
type formerLog struct {
	checkedLog
	Unchecked bool `json:"unchecked,omitempty"` // the trust file holds no key of its checkpoints
	// Fault is why it does not hold, or is not what the log that follows says of it; "" where it is.
	Fault string `json:"fault,omitempty"`
	// understated says that more is known of it than its successor says.
	understated bool
}

// checkFormer reads the logs on the server that were given up one after the other before another was begun, and holds each to what the first entry of its successor says, and to the checkpoints of it that were kept. What is found of them is told also where one is at fault.
func (o *options) checkFormer(cmd *cobra.Command, trust verify.Trust, follows *verify.Former, kept []tlog.Checkpoint) (list []formerLog, fault error) {
	for ; follows != nil; follows = list[len(list)-1].Follows {
		if slices.ContainsFunc(list, func(l formerLog) bool { return l.Origin == follows.Log }) {
			return list, not("the log %s is said to stand before itself", follows.Log)
		}
		var of []tlog.Checkpoint
		of, kept = split(kept, func(c tlog.Checkpoint) bool { return c.Origin == follows.Log })
		found, err := o.checkOneFormer(cmd, trust, follows, of)
		if err != nil {
			return list, err
		}
		list = append(list, found)
		// What was damaged when it was given up can't hold, and records of before don't say why it was: that is told, and no more.
		excused := !found.understated && (follows.Why == verify.LostDamaged || follows.Why == "")
		if found.Fault != "" && !excused && fault == nil {
			fault = not("the log %s, which was given up, is not what the log that follows says of it: %s", found.Origin, found.Fault)
		}
	}
	if len(kept) > 0 && fault == nil {
		fault = not("a checkpoint that was kept is of the log %s, and neither this log is that one nor any that it follows", kept[0].Origin)
	}
	return list, fault
}

// split takes the checkpoints out that are wanted.
func split(list []tlog.Checkpoint, wanted func(tlog.Checkpoint) bool) (taken, left []tlog.Checkpoint) {
	for _, c := range list {
		if wanted(c) {
			taken = append(taken, c)
		} else {
			left = append(left, c)
		}
	}
	return taken, left
}

// checkOneFormer holds a log to having as many entries as it was left with, and, where it has that many, to its last known head and to what was kept. One that was another than the published one can't have these. What was kept can't be beyond that head.
func (o *options) checkOneFormer(cmd *cobra.Command, trust verify.Trust, f *verify.Former, kept []tlog.Checkpoint) (formerLog, error) {
	found := formerLog{checkedLog: checkedLog{Origin: f.Log, Size: f.Kept}}
	for _, c := range kept {
		if f.Root != "" && (c.Size > f.Size || c.Size == f.Size && c.Root != f.Checkpoint.Root) {
			found.understated = true
			found.Fault = fmt.Sprintf("its last head is said to be of %d entries with the root %s, and a checkpoint that was kept has %d and %x", f.Size, f.Root, c.Size, c.Root)
			return found, nil
		}
	}
	if !slices.ContainsFunc(trust.Logs, func(l verify.Log) bool { return l.Origin == f.Log && l.Key != "" }) {
		found.Unchecked = true
		return found, nil
	}
	if f.Signed {
		kept = append(kept, f.Checkpoint)
	}
	earlier, _ := split(kept, func(c tlog.Checkpoint) bool { return c.Size <= f.Kept && f.Why != verify.LostForked })
	checked, _, err := o.derive(cmd, &httpSource{options: o, base: strings.TrimSuffix(o.server, "/") + "/log/" + f.Log, patience: newPatience()}, trust, earlier)
	switch {
	case isNo(err), errors.Is(err, fs.ErrNotExist):
		found.Fault = err.Error()
		return found, nil
	case err != nil:
		return found, err
	case checked.Origin != f.Log:
		found.Fault = "in its place another log is served, " + checked.Origin
		return found, nil
	}
	found.checkedLog = checked
	if checked.Size != f.Kept {
		found.Fault = fmt.Sprintf("it has %d entries, and was left with %d", checked.Size, f.Kept)
	}
	return found, nil
}

// String says it for people.
func (f formerLog) String() string {
	if f.Unchecked {
		return fmt.Sprintf("the log before, %s, was not checked: the trust file holds no key of its checkpoints", f.Origin)
	}
	if f.Fault != "" {
		return fmt.Sprintf("the log before, %s: %s", f.Origin, f.Fault)
	}
	text := fmt.Sprintf("the log before, %s, holds as it was given up: %s entries, root %s", f.Origin, grouped(f.Size), f.Root)
	if f.Follows != nil {
		text += "\n" + f.Follows.String()
	}
	return text
}
