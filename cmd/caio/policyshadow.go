package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/server"
	"github.com/spf13/cobra"
)

func newPolicyShadow(o *options) *cobra.Command {
	var p policyShadow
	cmd := &cobra.Command{
		Use:   "shadow [DIGEST]",
		Short: "Evaluate a pushed bundle beside those in force, and show what it would have decided otherwise",
		Long: `Evaluate a pushed bundle beside those in force, in place of the one of its name: after each decision the same request is decided again with it, and what differs is recorded in the log.
It never acts: no answer, history or list of decisions changes.

With --show the divergences are listed, the newest first, and counted by constraint. With --stop it is evaluated no longer; what was found stays. Without a digest the bundles that are evaluated now are listed.`,
		Example: "  caio policy shadow 5f2b6a0c0e54 --reason 'before ticket 88'\n  caio policy shadow 5f2b6a0c0e54 --show\n  caio policy shadow 5f2b6a0c0e54 --stop --reason 'in force now'\n  caio policy shadow",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if p.stop || p.show || p.reason != "" {
					return misused("name the bundle by its digest; without one the bundles that are evaluated now are listed")
				}
				return o.listShadows(cmd)
			}
			return p.run(o, cmd, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&p.reason, "reason", "", "why; it stands in the log")
	flags.BoolVar(&p.stop, "stop", false, "evaluate it no longer")
	flags.BoolVar(&p.show, "show", false, "show what it would have decided otherwise")
	flags.IntVar(&p.limit, "limit", 10, "how many `DIVERGENCES` are shown")
	cmd.MarkFlagsMutuallyExclusive("stop", "show")
	cmd.MarkFlagsMutuallyExclusive("reason", "show")
	return cmd
}

type policyShadow struct {
	reason     string
	stop, show bool
	limit      int
}

func (p *policyShadow) run(o *options, cmd *cobra.Command, prefix string) error {
	if !p.show && p.reason == "" {
		return misused("say why with --reason: it stands in the log")
	}
	if p.limit < 1 || p.limit > 1000 {
		return misused("--limit is 1 to 1000, not %d", p.limit)
	}
	list, err := o.bundlesOfServer(cmd.Context())
	if err != nil {
		return err
	}
	known := list.Pushed
	if p.stop {
		known = list.Shadows
	}
	b, err := oneBundle(known, prefix)
	if err != nil {
		return err
	}
	path := "/v1/bundles/" + b.Digest + "/shadow"
	var change server.ShadowChange
	switch {
	case p.show:
		report, err := o.shadowReport(cmd.Context(), b.Digest, p.limit)
		if err != nil {
			return err
		}
		return o.tellShadow(cmd, report)
	case p.stop:
		if err := o.call(cmd.Context(), http.MethodDelete, o.of(path+"?reason="+url.QueryEscape(p.reason)), "", nil, &change); err != nil {
			return err
		}
		return o.tell(cmd, change, "%s is evaluated no longer: %s", b.Name, short(b.Digest))
	}
	end := o.waiting(cmd, "the server compiles "+b.Name)
	defer end()
	if err := o.post(cmd, path, server.ShadowRequest{Reason: p.reason}, &change); err != nil {
		return err
	}
	end()
	if change.Unchanged {
		return o.tell(cmd, change, "%s unchanged: %s is evaluated already", change.Name, short(change.Digest))
	}
	return o.tell(cmd, change, "%s is evaluated beside what is in force: %s\nsee what it would decide otherwise with: caio policy shadow %s --show", change.Name, short(change.Digest), short(change.Digest))
}

func (o *options) shadowReport(ctx context.Context, digest string, limit int) (report server.ShadowReport, err error) {
	err = o.call(ctx, http.MethodGet, o.of(fmt.Sprintf("/v1/bundles/%s/shadow?limit=%d", digest, limit)), "", nil, &report)
	return report, err
}

func (o *options) listShadows(cmd *cobra.Command) error {
	list, err := o.bundlesOfServer(cmd.Context())
	if err != nil {
		return err
	}
	reports := []server.ShadowReport{}
	for _, b := range list.Shadows {
		report, err := o.shadowReport(cmd.Context(), b.Digest, 1)
		if err != nil {
			return err
		}
		reports = append(reports, report)
	}
	if o.machine() {
		return o.emit(cmd, reports)
	}
	if len(reports) == 0 {
		return o.tell(cmd, nil, "nothing is evaluated beside what is in force")
	}
	p := o.present(cmd)
	rows := [][]string{}
	for _, r := range reports {
		c := r.Started
		rows = append(rows, []string{r.Name, short(r.Digest), fmt.Sprint(c.Same + c.Diverged), fmt.Sprint(c.Diverged), fmt.Sprint(c.Failed), fmt.Sprint(c.Dropped), fmt.Sprint(r.Divergences)})
	}
	p.table([]string{"BUNDLE", "DIGEST", "EVALUATED", "DIVERGED", "FAILED", "DROPPED", "IN THE LOG"}, rows)
	for _, r := range reports {
		if r.Fault != "" {
			p.printf("%s %s\n", p.bad.Render(r.Name+" can't be evaluated:"), r.Fault)
		}
	}
	return nil
}

// kindsInWords are in the order in which they are told.
var kindsInWords = []struct {
	kind impact.Kind
	text string
}{
	{impact.RoutedToDenied, "routed, would be denied"}, {impact.DeniedToRouted, "denied, would be routed"},
	{impact.AnotherService, "another service"}, {impact.OtherConstraints, "the same service, other constraints"},
}

func (o *options) tellShadow(cmd *cobra.Command, r server.ShadowReport) error {
	if o.machine() {
		return o.emit(cmd, r)
	}
	p := o.present(cmd)
	state := "evaluated beside what is in force"
	if !r.Evaluated {
		state = "no longer evaluated"
	}
	p.printf("%s %s, %s\n", p.title.Render(r.Name), p.faint.Render(short(r.Digest)), state)
	if r.Fault != "" {
		p.printf("%s %s\n", p.bad.Render("it can't be evaluated:"), r.Fault)
	}
	p.printf("since the server started: %d the same, %d otherwise, %d failed, %d dropped\n", r.Started.Same, r.Started.Diverged, r.Started.Failed, r.Started.Dropped)
	p.printf("divergences in the log: %d\n", r.Divergences)
	for _, k := range kindsInWords {
		if n := r.Kinds[k.kind]; n > 0 {
			p.printf("  %d %s\n", n, k.text)
		}
	}
	if r.Divergences == 0 {
		return nil
	}
	p.printf("\n")
	rows := [][]string{}
	for _, c := range r.Constraints {
		rows = append(rows, []string{c.ID, fmt.Sprint(c.InForce), fmt.Sprint(c.Shadow)})
	}
	if len(rows) > 0 {
		p.table([]string{"CONSTRAINT", "ONLY IN FORCE", "ONLY IN THE SHADOW"}, rows)
		p.printf("\n")
	}
	rows = [][]string{}
	for _, d := range r.Latest {
		rows = append(rows, []string{d.Time, d.DecisionID, cameTo(d.InForce), cameTo(d.Shadow), differing(d.Constraints)})
	}
	p.table([]string{"TIME", "DECISION", "WAS", "WOULD BE", "BECAUSE OF"}, rows)
	return nil
}

func cameTo(outcome server.ShadowOutcome) string { return or(outcome.Service, outcome.Outcome) }

// differing lists the constraints that differ, each once.
func differing(differences []server.ShadowDifference) string {
	ids := []string{}
	for _, d := range differences {
		if !slices.Contains(ids, d.ID) {
			ids = append(ids, d.ID)
		}
	}
	return strings.Join(ids, " ")
}
