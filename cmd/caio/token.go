package main

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/spf13/cobra"
)

func newToken(o *options) *cobra.Command {
	return group("token", "Issue development tokens", newTokenIssue(o))
}

func newTokenIssue(o *options) *cobra.Command {
	var p contracts.Principal
	var keys, trust string
	var valid time.Duration
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Issue a token of the development issuer, whose key lies in the server's folder of keys",
		Example: `  caio token issue --roles operator
  caio token issue --tenant acme --roles app --permissions ai.chat,ai.embed --trust 5 --subject alice@acme.example`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			level, err := contracts.ParseDecimal(trust)
			if err != nil {
				return misused("--trust: %w", err)
			}
			development, created, err := auth.OpenDevelopment(keys, rand.Reader)
			if err != nil {
				return err
			}
			if created {
				fmt.Fprintf(cmd.ErrOrStderr(), "There was no development key in %s: one was made. Only a server that is started with --keys %s takes this token.\n", keys, keys)
			}
			for _, role := range p.Roles {
				if !slices.Contains(auth.Roles(), auth.Role(role)) {
					fmt.Fprintf(cmd.ErrOrStderr(), "The role %q opens no call; only policies can read it.\n", role)
				}
			}
			p.Tenant, p.Trust = o.tenantOrDefault(), level
			slices.Sort(p.Roles)
			slices.Sort(p.Permissions)
			token, err := development.Token(p, time.Now(), valid)
			if err != nil {
				return misused("%w", err)
			}
			if o.machine() {
				return o.emit(cmd, map[string]string{"token": token})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&keys, "keys", defaultKeys, "`FOLDER` of keys")
	flags.StringVar(&p.Subject, "subject", "developer", "who the token is for")
	flags.StringSliceVar(&p.Roles, "roles", []string{string(auth.App)}, "roles: app, author, auditor, approver, operator")
	flags.StringSliceVar(&p.Permissions, "permissions", nil, "permissions")
	flags.StringVar(&trust, "trust", "0", "trust, 0 to 10")
	flags.DurationVar(&valid, "valid", 8*time.Hour, "for how long")
	return cmd
}
