package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"

	"github.com/smarthausgroup/caio/engine/impact/export"
	"github.com/spf13/cobra"
)

// proofExport is a call of `caio proof export`.
type proofExport struct {
	output, since, from, to string
	content, slim           bool
	subject                 string
}

func newProofExport(o *options) *cobra.Command {
	var e proofExport
	cmd := &cobra.Command{
		Use:   "export [DECISION]",
		Short: "Fetch the evidence of a decision, or the decisions of a time, as one file",
		Long: `Fetch the evidence of one decision, for caio verify; or, with --since, --from or --to, the decisions of a time, for caio policy impact --decisions.

The file of many decisions holds their documents, what was asked, and the contracts, bundles and settings that it takes to decide them again. It is no evidence: nothing in it is signed.`,
		Example: `  caio proof export 0197a1b2-… -o decision.caio --token $CAIO_TOKEN
  caio proof export --since 7d -o decisions.jsonl.gz`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch many := e.since+e.from+e.to != ""; {
			case many && len(args) == 1:
				return misused("name a decision, or a time, not both")
			case many && (e.slim || e.subject != ""):
				return misused("--slim and --subject are of the evidence of one decision")
			case many:
				return e.many(o, cmd)
			case len(args) == 0:
				return misused("name a decision, or a time with --since, --from or --to")
			}
			return e.one(o, cmd, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&e.output, "output", "o", "", "`FILE` to write, DECISION.caio or decisions.jsonl.gz if not given")
	flags.Var((*ago)(&e.since), "since", "decisions of this last `TIME`: 12h, 7d, 4w")
	flags.StringVar(&e.from, "from", "", "decisions at this `TIME` or later, RFC 3339")
	flags.StringVar(&e.to, "to", "", "decisions before this `TIME`, RFC 3339")
	flags.BoolVar(&e.content, "content", true, "with what was asked, which scoring reads; --content=false leaves it out of a file that is handed on")
	flags.BoolVar(&e.slim, "slim", false, "without contracts other than the candidates'")
	flags.StringVar(&e.subject, "subject", "", "for this `PERSON`, whom the decision is about or who asked for it: without what concerns others")
	cmd.MarkFlagsMutuallyExclusive("since", "from")
	return cmd
}

func (e *proofExport) one(o *options, cmd *cobra.Command, decision string) error {
	data, err := o.fetch(cmd.Context(), http.MethodGet, "/v1/decisions/"+url.PathEscape(decision)+"/evidence?"+e.parts().Encode(), "", nil)
	if err != nil {
		return err
	}
	file := or(e.output, decision+".caio")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return err
	}
	return o.tell(cmd, map[string]any{"file": file, "bytes": len(data)}, "%s (%d bytes)", file, len(data))
}

// parts are the parameters that say what comes along.
func (e *proofExport) parts() url.Values {
	parts := url.Values{}
	if !e.content {
		parts.Set("disclosures", "none")
	}
	if e.slim {
		parts.Set("contracts", "candidates")
	}
	if e.subject != "" {
		parts.Set("for_subject", e.subject)
	}
	return parts
}

// disclosures is the parameter that leaves content out, after a separator.
func (e *proofExport) disclosures(separator string) string {
	if e.content {
		return ""
	}
	return separator + "disclosures=none"
}

// many fetches the decisions of a time. The file appears once it is there to its end.
func (e *proofExport) many(o *options, cmd *cobra.Command) error {
	query := url.Values{}
	for key, value := range map[string]string{"since": e.since, "from": e.from, "to": e.to} {
		if value != "" {
			query.Set(key, value)
		}
	}
	response, err := o.open(cmd.Context(), http.MethodGet, o.of("/v1/decisions/export?"+query.Encode()+e.disclosures("&")), "", "", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	file := or(e.output, "decisions.jsonl.gz")
	partial, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.part")
	if err != nil {
		return err
	}
	defer os.Remove(partial.Name())
	n, err := e.copy(cmd.Context(), o, cmd, partial, response.Body)
	if err = errors.Join(err, partial.Close()); err != nil {
		return unable("the export broke off: %w", err)
	}
	if err := os.Rename(partial.Name(), file); err != nil {
		return err
	}
	return o.tell(cmd, map[string]any{"file": file, "decisions": n}, "%s (%s)", file, plural(n, "decision"))
}

// copy writes what comes, and reads it along, so that a file without its end is noticed.
func (e *proofExport) copy(ctx context.Context, o *options, cmd *cobra.Command, to io.Writer, from io.Reader) (n int64, err error) {
	meter := o.meter(cmd, "fetching", "decisions")
	defer meter.end()
	r, err := export.NewReader(io.TeeReader(from, to))
	for err == nil && ctx.Err() == nil {
		if _, err = r.Next(); err == nil {
			n++
			meter.count(n)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, errors.Join(err, ctx.Err())
}

// ago is the value of a flag: a time back from now, as the server reads it.
type ago string

var agoForm = regexp.MustCompile(`^[1-9][0-9]{0,4}[hdw]$`)

func (a *ago) String() string { return string(*a) }

func (a *ago) Type() string { return "time" }

func (a *ago) Set(text string) error {
	if !agoForm.MatchString(text) {
		return errors.New("a time back from now, as 12h, 7d or 4w")
	}
	*a = ago(text)
	return nil
}
