package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/smarthausgroup/caio/server"
	"github.com/spf13/cobra"
)

func newSubject(o *options) *cobra.Command {
	return group("subject", "Find, erase and hold what is kept of a person",
		newSubjectList(o), newSubjectErase(o), newSubjectErasures(o), newSubjectHold(o), newSubjectRelease(o), newSubjectHolds(o))
}

func newSubjectList(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "list SUBJECT",
		Short:   "List the decisions that a person takes part in, as who asked or as whom the data are about",
		Example: "  caio subject list ann@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/v1/decisions?limit=1000&subject=" + url.QueryEscape(args[0])
			decisions := []server.DecisionSummary{}
			if err := eachPage(cmd.Context(), o, path, func(page server.DecisionList) string {
				decisions = append(decisions, page.Decisions...)
				return page.Next
			}); err != nil {
				return err
			}
			if o.machine() {
				return o.emit(cmd, decisions)
			}
			rows := [][]string{}
			for _, d := range decisions {
				rows = append(rows, []string{d.DecisionID, d.Time, d.Intent, d.Outcome, d.Service})
			}
			o.present(cmd).table([]string{"DECISION", "TIME", "INTENT", "OUTCOME", "SERVICE"}, rows)
			return nil
		},
	}
}

func newSubjectErase(o *options) *cobra.Command {
	var body server.ErasureRequest
	cmd := &cobra.Command{
		Use:   "erase SUBJECT",
		Short: "Make the content of every decision of a person unreadable, for good",
		Long: `Make the content of every decision of a person unreadable, for good, in every copy: the person's keys are destroyed.

Documents, which hold no content, stay unless --documents is given: scores are a fingerprint of a text. Statements and receipts stay in any case.
A hold forbids it, and the answer says on what ground.`,
		Example: "  caio subject erase ann@example.com --reason 'request of 3 May, ticket 1204'\n  caio subject erase ann@example.com --documents --reason 'ticket 1204'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body.Subject = args[0]
			text, err := json.Marshal(body)
			if err != nil {
				return err
			}
			var erased server.Erased
			if err := o.call(cmd.Context(), http.MethodPost, o.of("/v1/erasures"), "application/json", text, &erased); err != nil {
				return err
			}
			what := "the content"
			if body.Documents {
				what = "the content and the documents"
			}
			return o.tell(cmd, erased, "erased: %s of %s, as entry %d of the log (subject %s)", what, plural(erased.Decisions, "decision"), erased.Index, erased.Subject)
		},
	}
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; it stands in the log, so it names nobody")
	cmd.Flags().BoolVar(&body.Documents, "documents", false, "erase the documents too")
	markRequired(cmd, "reason")
	return cmd
}

func newSubjectErasures(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "erasures",
		Short:   "List what was erased, of persons and for its age, the newest first",
		Example: "  caio subject erasures",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := o.of("/v1/erasures?limit=1000")
			erasures := []server.Erasure{}
			if err := eachPage(cmd.Context(), o, path, func(page server.ErasureList) string {
				erasures = append(erasures, page.Erasures...)
				return page.Next
			}); err != nil {
				return err
			}
			if o.machine() {
				return o.emit(cmd, erasures)
			}
			rows := [][]string{}
			for _, e := range erasures {
				what, of := "content", "subject "+e.Subject
				if e.Documents {
					what = "content, documents"
				}
				if e.Subject == "" {
					of = fmt.Sprintf("%s, through %s", e.Retention, e.Through)
				}
				rows = append(rows, []string{strconv.FormatInt(e.Index, 10), e.Time, of, what, e.Actor, e.Reason})
			}
			o.present(cmd).table([]string{"ENTRY", "TIME", "OF", "WHAT", "BY", "REASON"}, rows)
			return nil
		},
	}
}

func newSubjectHold(o *options) *cobra.Command {
	var body server.HoldRequest
	cmd := &cobra.Command{
		Use:   "hold NAME",
		Short: "See to it that nothing is erased of a person, a decision, or everything",
		Long: `See to it that nothing is erased of a person, a decision, or everything, until the hold is released.

Who asks for an erasure that it forbids is told the ground.`,
		Example: "  caio subject hold case-117 --subject ann@example.com --ground 'Civil Procedure Rules, case 117' --reason 'asked for by counsel'\n" +
			"  caio subject hold audit-2026 --everything --ground 'audit by the regulator' --reason 'letter of 2 June'",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := json.Marshal(body)
			if err != nil {
				return err
			}
			var hold server.Hold
			if err := o.call(cmd.Context(), http.MethodPut, o.of("/v1/holds/"+url.PathEscape(args[0])), "application/json", text, &hold); err != nil {
				return err
			}
			return o.tell(cmd, hold, "held: %s, as entry %d of the log", heldText(hold), hold.Index)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&body.Subject, "subject", "", "`PERSON` whose decisions are held")
	flags.StringVar(&body.Decision, "decision", "", "`ID` of a decision that is held")
	flags.BoolVar(&body.Everything, "everything", false, "hold all that there is of the tenant's")
	flags.StringVar(&body.Ground, "ground", "", "on what ground; it stands in the log")
	flags.StringVar(&body.Reason, "reason", "", "why; it stands in the log")
	cmd.MarkFlagsMutuallyExclusive("subject", "decision", "everything")
	cmd.MarkFlagsOneRequired("subject", "decision", "everything")
	markRequired(cmd, "ground")
	markRequired(cmd, "reason")
	return cmd
}

// heldText says what a hold keeps.
func heldText(h server.Hold) string {
	switch {
	case h.Everything:
		return "everything"
	case len(h.Decisions) > 0:
		return "decision " + strings.Join(h.Decisions, ", ")
	}
	return "subject " + strings.Join(h.Subjects, ", ")
}

func newSubjectRelease(o *options) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "release NAME",
		Short:   "Release a hold",
		Example: "  caio subject release case-117 --reason 'settled'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var hold server.Hold
			if err := o.call(cmd.Context(), http.MethodDelete, o.of("/v1/holds/"+url.PathEscape(args[0])+"?reason="+url.QueryEscape(reason)), "", nil, &hold); err != nil {
				return err
			}
			return o.tell(cmd, hold, "released: %s, as entry %d of the log", heldText(hold), hold.Index)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; it stands in the log")
	markRequired(cmd, "reason")
	return cmd
}

func newSubjectHolds(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "holds",
		Short:   "List the holds in force",
		Example: "  caio subject holds",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list server.HoldList
			if err := o.call(cmd.Context(), http.MethodGet, o.of("/v1/holds"), "", nil, &list); err != nil {
				return err
			}
			if o.machine() {
				return o.emit(cmd, list.Holds)
			}
			rows := [][]string{}
			for _, h := range list.Holds {
				rows = append(rows, []string{h.Hold, heldText(h), h.Ground, h.Actor, h.Time, h.Reason})
			}
			o.present(cmd).table([]string{"HOLD", "KEEPS", "GROUND", "BY", "SINCE", "REASON"}, rows)
			return nil
		},
	}
}
