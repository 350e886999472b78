package main

import (
	"context"
	"net/http"
	"os"

	"github.com/smarthausgroup/caio/verify"
	"github.com/spf13/cobra"
)

func newTrust(o *options) *cobra.Command {
	return group("trust", "Pin what an auditor trusts", newTrustExport(o))
}

func newTrustExport(o *options) *cobra.Command {
	var output, root string
	var keys []string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the trust file: the issuer, the tenant's log, and the keys with their intervals",
		Long: `Write the trust file: the issuer, the tenant's log, and the keys with their intervals.

Take it once, over a channel that you trust, and keep it: a verifier takes keys from this file alone.

With --root it is refused where the server names another offline root than the one that its keeper gave you.

With --key it asks no server: the file is then for evidence that caio decide signed with these keys.`,
		Example: "  caio trust export -o trust.json --token $CAIO_TOKEN\n  caio trust export -o trust.json --key mine.pem",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := o.trust(cmd.Context(), keys)
			if err == nil && root != "" {
				err = o.heldTo(text, root)
			}
			if err != nil {
				return err
			}
			if output == "" {
				_, err = cmd.OutOrStdout().Write(text)
				return err
			}
			if err := os.WriteFile(output, text, 0o644); err != nil {
				return err
			}
			return o.tell(cmd, map[string]string{"file": output}, "%s", output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write; standard output if not given")
	cmd.Flags().StringSliceVar(&keys, "key", nil, "key `FILES` that signed offline decisions, in place of a server")
	cmd.Flags().StringVar(&root, "root", "", "`FILE` with the public key of the offline root, to which the server's is held")
	return cmd
}

// heldTo refuses a trust file that does not pin that root.
func (o *options) heldTo(text []byte, file string) error {
	root, err := readPublic(file)
	if err != nil {
		return err
	}
	trust, err := verify.ParseTrust(text)
	if err != nil {
		return err
	}
	if !root.Equal(trust.Root) {
		return not("%s names another offline root than %s, or none", o.server, file)
	}
	return nil
}

// trust asks the server for its trust file, or makes one for offline decisions.
func (o *options) trust(ctx context.Context, files []string) ([]byte, error) {
	if len(files) > 0 {
		keys, err := publicKeys(files)
		if err != nil {
			return nil, err
		}
		return verify.Trust{Issuer: offline, Logs: []verify.Log{{Origin: offline}}, Keys: keys}.Encode()
	}
	text, err := o.fetch(ctx, http.MethodGet, "/v1/trust", "", nil)
	if err != nil {
		return nil, err
	}
	if _, err := verify.ParseTrust(text); err != nil {
		return nil, unable("%s: %w", o.server, err)
	}
	return text, nil
}
