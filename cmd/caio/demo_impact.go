package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/engine/impact/export"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// try decides what was decided again under the changed policy, as `caio policy impact` does, and shows what would have come out otherwise. It gives the service of each decision, "" for a denial.
func (d *demonstration) try(ctx context.Context, acme fs.FS, before []proved) ([]string, error) {
	file, err := d.app.fetch(ctx, http.MethodGet, "/v1/decisions/export", "", nil)
	if err != nil {
		return nil, err
	}
	r, err := export.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	rules, err := demoRules(r, acme)
	if err != nil {
		return nil, err
	}
	report, err := impact.Run(ctx, impact.FromExport(r, rules), impact.Options{Examples: len(before)})
	if err != nil {
		return nil, err
	}
	d.printf("  What it would have changed, before it is in force (%s):\n\n", d.bold.Render("caio policy impact"))
	after, rows := make([]string, len(before)), [][]string{}
	for i := range before {
		after[i] = before[i].document.Choice.Service
		said, mark := outcome(before[i].document), d.faint.Render("unchanged")
		for _, e := range report.Examples {
			if e.DecisionID != before[i].document.DecisionID {
				continue
			}
			if after[i] = e.After.Service; e.Kind != impact.OtherConstraints {
				said, mark = or(after[i], verify.Denied), d.warn.Render("changed")
			}
		}
		rows = append(rows, []string{fmt.Sprintf("%d. %s", i+1, demoRequests[i].title), outcome(before[i].document), said, mark})
	}
	d.table([]string{"REQUEST", "AS IT IS", "WITH THE LINE", ""}, rows)
	for _, c := range report.Constraints {
		d.printf("\n  %s\n", d.faint.Render(fmt.Sprintf("%s (%s) would be violated in %d of %d decisions; %d of them would come out otherwise.", c.ID, c.Title, c.Violated, report.Total, report.Changed)))
	}
	return after, nil
}

// demoRules are those in force when the file was written, and those with the changed policy.
func demoRules(r *export.Reader, acme fs.FS) (*impact.Rules, error) {
	inForce, err := bundlesIn(r)
	if err != nil {
		return nil, err
	}
	bundles, err := demoBundles(acme)
	if err != nil {
		return nil, err
	}
	rules := &impact.Rules{}
	for of, policies := range map[*[]*rego.Bundle]**rego.Policies{&inForce: &rules.InForce, &bundles: &rules.Candidate} {
		compiled, diagnostics := rego.Compile(*of, rego.Options{Settings: r.Settings})
		if err := diagnostics.Err(); err != nil {
			return nil, err
		}
		*policies = compiled
	}
	return rules, nil
}

// cameTrue holds what was decided to what was said before.
func cameTrue(said []string, after []proved) error {
	for i := range after {
		if got := after[i].document.Choice.Service; got != said[i] {
			return fmt.Errorf("impact said that request %d would go to %q, and it goes to %q", i+1, said[i], got)
		}
	}
	return nil
}
