package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/verify"
	"github.com/spf13/cobra"
)

func newPolicyActivate(o *options) *cobra.Command {
	var body server.ActivationRequest
	var previous, approval string
	cmd := &cobra.Command{
		Use:   "activate DIGEST",
		Short: "Put a bundle in force that was pushed, in place of the one of its name",
		Long: `Put a bundle in force that was pushed, in place of the one of its name. The digest may be shortened, as long as it is one bundle's alone.

The server verifies its signature again, compiles it with everything in force, and runs its own tests, before it writes the entry in the log and puts it in force. With --previous it does so only if what is in force is what you looked at.`,
		Example: "  caio policy activate 5f2b6a0c0e54 --reason 'transfers to Switzerland, ticket 88'\n  caio policy activate 5f2b6a0c0e54 --reason 'ticket 88' --previous none --approval approval.jws",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := o.bundlesOfServer(cmd.Context())
			if err != nil {
				return err
			}
			pushed, err := oneBundle(list.Pushed, args[0])
			if err != nil {
				return err
			}
			if body.Previous, err = expected(list, previous); err != nil {
				return err
			}
			if approval != "" {
				text, err := os.ReadFile(approval)
				if err != nil {
					return err
				}
				body.Approval = strings.TrimSpace(string(text))
			}
			return o.changeBundles(cmd, "the server tests "+pushed.Name, "/v1/bundles/"+pushed.Digest+"/activate", body)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&body.Reason, "reason", "", "why; it stands in the log")
	flags.StringVar(&previous, "previous", "", "`DIGEST` of what you found in force under the name, or none; nothing is changed if it is another by now")
	flags.StringVar(&approval, "approval", "", "`FILE` with what an approver signed with a key of their own (caio policy approve)")
	markRequired(cmd, "reason")
	return cmd
}

func newPolicyDeactivate(o *options) *cobra.Command {
	var body server.DeactivationRequest
	cmd := &cobra.Command{
		Use:     "deactivate NAME|DIGEST",
		Short:   "Take a bundle of the tenant's own out of force",
		Example: "  caio policy deactivate gdpr --reason 'merged into the bundle house'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := o.bundlesOfServer(cmd.Context())
			if err != nil {
				return err
			}
			digest := args[0]
			if at := slices.IndexFunc(list.Bundles, func(b server.BundleSummary) bool { return b.Name == args[0] }); at >= 0 {
				digest = list.Bundles[at].Digest
			}
			active, err := oneBundle(list.Bundles, digest)
			if err != nil {
				return err
			}
			return o.changeBundles(cmd, "the server compiles what is left", "/v1/bundles/"+active.Digest+"/deactivate", body)
		},
	}
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; it stands in the log")
	markRequired(cmd, "reason")
	return cmd
}

func newPolicyRollback(o *options) *cobra.Command {
	var body server.RollbackRequest
	cmd := &cobra.Command{
		Use:   "rollback NAME",
		Short: "Undo the last change of what is in force under a name",
		Long: `Undo the last change of what is in force under a name: the version before comes back, or none if there was none. It is tested as any that is put in force.

A second rollback undoes the first; an older version is put in force by its digest, with "caio policy activate".`,
		Example: "  caio policy rollback gdpr --reason 'denies the intake service, ticket 93'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body.Name = args[0]
			return o.changeBundles(cmd, "the server tests the version before", "/v1/bundles/rollback", body)
		},
	}
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; it stands in the log")
	markRequired(cmd, "reason")
	return cmd
}

// changeBundles sends a change of what is in force, and tells what came of it.
func (o *options) changeBundles(cmd *cobra.Command, waiting, path string, body any) error {
	end := o.waiting(cmd, waiting)
	defer end()
	var a server.Activation
	if err := o.post(cmd, path, body, &a); err != nil {
		return err
	}
	end()
	before := "in place of " + short(a.Previous)
	if a.Previous == "" {
		before = "where there was none"
	}
	switch {
	case a.Unchanged:
		return o.tell(cmd, a, "%s unchanged: %s is in force already", a.Name, short(a.Digest))
	case a.Digest == "":
		return o.tell(cmd, a, "%s is no longer in force: %s was", a.Name, short(a.Previous))
	}
	return o.tell(cmd, a, "%s in force: %s, %s, %s\nentry %d of the log", a.Name, short(a.Digest), signedBy(a.Key), before, *a.Index)
}

func newPolicyApprove(o *options) *cobra.Command {
	var said verify.Approval
	var keyFile string
	cmd := &cobra.Command{
		Use:   "approve DIGEST",
		Short: "Sign, with a key of your own, that a bundle may be put in force",
		Long: `Sign, with a key of your own, that a bundle may take the place of the one that is in force under its name, in this log and for this reason. What is printed goes to whoever puts it in force, who gives it to "caio policy activate" with --approval and the same reason.

The public half of the key (caio key export) must be among the server's approver_keys. The signature stands in the entry of the activation for good.`,
		Example: "  caio policy approve 5f2b6a0c0e54 --reason 'ticket 88' --signing-key eve.pem > approval.jws",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			private, err := readKey(keyFile, "")
			if err != nil {
				return err
			}
			signer, err := verify.NewSigner(private)
			if err != nil {
				return err
			}
			list, err := o.bundlesOfServer(cmd.Context())
			if err != nil {
				return err
			}
			pushed, err := oneBundle(list.Pushed, args[0])
			if err != nil {
				return err
			}
			said.V, said.Tenant, said.Log, said.Bundle, said.Digest = 1, list.Tenant, list.Log, pushed.Name, pushed.Digest
			for _, b := range list.Bundles {
				if b.Name == pushed.Name {
					said.Previous = b.Digest
				}
			}
			compact, err := signer.Sign(verify.TypApproval, said)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", compact)
			return err
		},
	}
	cmd.Flags().StringVar(&said.Reason, "reason", "", "why; it stands in the log, and the activation must give the same")
	cmd.Flags().StringVar(&keyFile, "signing-key", "", "private key `FILE` of yours, as `caio key generate` makes it")
	markRequired(cmd, "reason", "signing-key")
	return cmd
}

func newPolicyList(o *options) *cobra.Command {
	var history bool
	cmd := &cobra.Command{
		Use:     "list [NAME]",
		Short:   "List a server's bundles: in force, evaluated beside, pushed; or what was done with them",
		Example: "  caio policy list\n  caio policy list gdpr --history",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := strings.Join(args, "")
			if history {
				return o.listChanges(cmd, name)
			}
			return o.listBundles(cmd, name)
		},
	}
	cmd.Flags().BoolVar(&history, "history", false, "what was done with bundles, in the order of the log: who, when, why")
	return cmd
}

func (o *options) listBundles(cmd *cobra.Command, name string) error {
	list, err := o.bundlesOfServer(cmd.Context())
	if err != nil {
		return err
	}
	other := func(b server.BundleSummary) bool { return name != "" && b.Name != name }
	list.Bundles, list.Shadows, list.Pushed = slices.DeleteFunc(list.Bundles, other), slices.DeleteFunc(list.Shadows, other), slices.DeleteFunc(list.Pushed, other)
	if name != "" && len(list.Bundles)+len(list.Shadows)+len(list.Pushed) == 0 {
		return not("no bundle has the name %s", name)
	}
	if o.machine() {
		return o.emit(cmd, list)
	}
	p := o.present(cmd)
	rows, shown := [][]string{}, map[string]bool{}
	add := func(state string, bundles []server.BundleSummary) {
		for _, b := range bundles {
			if key := b.Name + b.Digest; state != "pushed" || !shown[key] {
				rows = append(rows, []string{b.Name, state, or(b.Revision, "-"), short(b.Digest), or(b.Key, "unsigned"), cmp.Or(b.Author, "the installation"), b.Time})
				shown[key] = true
			}
		}
	}
	add("in force", list.Bundles)
	add("shadow", list.Shadows)
	add("pushed", list.Pushed)
	p.table([]string{"BUNDLE", "STATE", "REVISION", "DIGEST", "SIGNED BY", "AUTHOR", "SINCE"}, rows)
	for _, f := range list.Faults {
		p.printf("%s %s\n", p.bad.Render("nothing is decided:"), f.Detail)
	}
	return nil
}

func (o *options) listChanges(cmd *cobra.Command, name string) error {
	versions := []server.BundleVersion{}
	path := o.of("/v1/bundles/versions?limit=1000")
	if name != "" {
		path += "&name=" + url.QueryEscape(name)
	}
	if err := eachPage(cmd.Context(), o, path, func(page server.BundleVersionList) string {
		versions = append(versions, page.Versions...)
		return page.Next
	}); err != nil {
		return err
	}
	if o.machine() {
		return o.emit(cmd, versions)
	}
	rows := [][]string{}
	for _, v := range versions {
		what := string(v.Kind)
		if v.Rollback {
			what = "rolled back"
		}
		rows = append(rows, []string{fmt.Sprint(v.Index), v.Time, v.Name, what, short(v.Digest), or(short(v.Previous), "-"), v.Actor, v.Reason})
	}
	o.present(cmd).table([]string{"ENTRY", "TIME", "BUNDLE", "WHAT", "DIGEST", "BEFORE", "BY", "REASON"}, rows)
	return nil
}

// bundlesOfServer are all that the server lists, page after page.
func (o *options) bundlesOfServer(ctx context.Context) (server.BundleList, error) {
	var list server.BundleList
	path := o.of("/v1/bundles?limit=1000")
	err := eachPage(ctx, o, path, func(page server.BundleList) string {
		page.Pushed = append(list.Pushed, page.Pushed...)
		list = page
		return page.Next
	})
	return list, err
}

var digestPrefix = regexp.MustCompile(`^[0-9a-f]{4,64}$`)

// oneBundle is the one whose digest begins so.
func oneBundle(bundles []server.BundleSummary, prefix string) (server.BundleSummary, error) {
	if !digestPrefix.MatchString(prefix) {
		return server.BundleSummary{}, misused("%q is not a digest, of which at least 4 hexadecimal digits are given (caio policy list)", prefix)
	}
	var found []server.BundleSummary
	for _, b := range bundles {
		if strings.HasPrefix(b.Digest, prefix) && !slices.ContainsFunc(found, func(other server.BundleSummary) bool { return other.Digest == b.Digest }) {
			found = append(found, b)
		}
	}
	switch len(found) {
	case 0:
		return server.BundleSummary{}, not("no such bundle: the digest of none begins with %s (caio policy list)", prefix)
	case 1:
		return found[0], nil
	}
	return server.BundleSummary{}, misused("%s is how the digests of %d bundles begin: give more of it", prefix, len(found))
}

// expected is the whole digest of what the caller says is in force: nil if nothing is said, "" for none.
func expected(list server.BundleList, previous string) (*string, error) {
	switch previous {
	case "":
		return nil, nil
	case "none":
		return new(string), nil
	}
	if len(previous) == 64 {
		return &previous, nil
	}
	b, err := oneBundle(slices.Concat(list.Bundles, list.Pushed), previous)
	return &b.Digest, err
}

// short is what people are shown of a digest.
func short(digest string) string { return digest[:min(12, len(digest))] }
