package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/spf13/cobra"
)

func newAPIKey(o *options) *cobra.Command {
	return group("api-key", "Issue, list and revoke the API keys of a tenant", newAPIKeyIssue(o), newAPIKeyList(o), newAPIKeyRevoke(o))
}

func newAPIKeyIssue(o *options) *cobra.Command {
	var body server.APIKeyRequest
	var trust string
	var valid time.Duration
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Issue an API key, which is shown once",
		Example: `  caio api-key issue --subject ci --roles app --permissions ai.embed --valid 2160h
  caio api-key issue --tenant acme --subject billing --roles app,auditor > billing.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			level, err := contracts.ParseDecimal(trust)
			if err != nil {
				return misused("--trust: %w", err)
			}
			body.Trust = level
			if valid < 0 {
				return misused("--valid is how long from now on, not %s", valid)
			}
			if valid > 0 {
				body.Expires = time.Now().Add(valid).UTC().Format(time.RFC3339)
			}
			text, err := json.Marshal(body)
			if err != nil {
				return err
			}
			var issued server.APIKeyIssued
			if err := o.call(cmd.Context(), http.MethodPost, o.of("/v1/api-keys"), "application/json", text, &issued); err != nil {
				return err
			}
			if o.machine() {
				return o.emit(cmd, issued)
			}
			if !o.quiet {
				fmt.Fprintf(cmd.ErrOrStderr(), "The key %s, for %s of the tenant %s. It is not shown again; to end it: caio api-key revoke %s\n", issued.ID, issued.Subject, issued.Tenant, issued.ID)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), issued.Key)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&body.Subject, "subject", "", "who or what uses the key")
	flags.StringSliceVar(&body.Roles, "roles", []string{string(auth.App)}, "roles: app, author, auditor, approver, operator")
	flags.StringSliceVar(&body.Permissions, "permissions", nil, "permissions")
	flags.StringVar(&trust, "trust", "0", "trust, 0 to 10")
	flags.DurationVar(&valid, "valid", 0, "for how long; until it is revoked if not given")
	markRequired(cmd, "subject")
	return cmd
}

func newAPIKeyList(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the API keys of a tenant, without the keys themselves",
		Example: "  caio api-key list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys := []server.APIKeySummary{}
			path := o.of("/v1/api-keys?limit=1000")
			if err := eachPage(cmd.Context(), o, path, func(page server.APIKeyList) string {
				keys = append(keys, page.Keys...)
				return page.Next
			}); err != nil {
				return err
			}
			if o.machine() {
				return o.emit(cmd, keys)
			}
			rows := [][]string{}
			for _, k := range keys {
				rows = append(rows, []string{k.ID, k.Subject, strings.Join(k.Roles, ","), day(k.Created), keyEnd(k)})
			}
			o.present(cmd).table([]string{"KEY", "SUBJECT", "ROLES", "CREATED", "ENDS"}, rows)
			return nil
		},
	}
}

// keyEnd says when a key ends, or that it has.
func keyEnd(k server.APIKeySummary) string {
	switch {
	case k.Revoked != "":
		return "revoked " + day(k.Revoked)
	case k.Expires != "":
		return day(k.Expires)
	}
	return "never"
}

// day is the date of a time of RFC 3339.
func day(stamp string) string {
	date, _, _ := strings.Cut(stamp, "T")
	return date
}

func newAPIKeyRevoke(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ID",
		Short:   "Revoke an API key by its id: the server takes it no more",
		Example: "  caio api-key revoke 01a20320-b970-7703-98f4-39bec841f67e",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.call(cmd.Context(), http.MethodDelete, o.of("/v1/api-keys/"+url.PathEscape(args[0])), "", nil, nil); err != nil {
				return err
			}
			return o.tell(cmd, map[string]any{"id": args[0], "revoked": true}, "revoked: %s", args[0])
		},
	}
}
