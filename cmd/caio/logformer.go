package main

import (
	"fmt"
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
}

// checkFormer reads the logs on the server that were given up one after the other before another was begun, and holds each to what the first entry of its successor says. What is found of them is told also where one is at fault.
func (o *options) checkFormer(cmd *cobra.Command, trust verify.Trust, follows *verify.Former) (list []formerLog, fault error) {
	for ; follows != nil; follows = list[len(list)-1].Follows {
		if slices.ContainsFunc(list, func(l formerLog) bool { return l.Origin == follows.Log }) {
			return list, not("the log %s is said to stand before itself", follows.Log)
		}
		found, err := o.checkOneFormer(cmd, trust, follows)
		if err != nil {
			return list, err
		}
		list = append(list, found)
		// What was damaged when it was given up can't hold, and records of before don't say why it was: that is told, and no more.
		if found.Fault != "" && follows.Why != verify.LostDamaged && follows.Why != "" && fault == nil {
			fault = not("the log %s, which was given up, is not what the log that follows says of it: %s", found.Origin, found.Fault)
		}
	}
	return list, fault
}

// checkOneFormer holds a log to having as many entries as it was left with, and, where it has that many, to its last known head. One that was another than the published one can't have that.
func (o *options) checkOneFormer(cmd *cobra.Command, trust verify.Trust, f *verify.Former) (formerLog, error) {
	found := formerLog{checkedLog: checkedLog{Origin: f.Log, Size: f.Kept}}
	if !slices.ContainsFunc(trust.Logs, func(l verify.Log) bool { return l.Origin == f.Log && l.Key != "" }) {
		found.Unchecked = true
		return found, nil
	}
	var earlier []tlog.Checkpoint
	if f.Signed && f.Size <= f.Kept && f.Why != verify.LostForked {
		earlier = append(earlier, f.Checkpoint)
	}
	checked, _, err := o.derive(cmd, &httpSource{options: o, base: strings.TrimSuffix(o.server, "/") + "/log/" + f.Log}, trust, earlier)
	switch {
	case err != nil && !isNo(err):
		return found, err
	case err != nil:
		found.Fault = err.Error()
		return found, nil
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
