package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"slices"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/spf13/cobra"
)

func newPolicyPull(o *options) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "pull DIGEST",
		Short: "Fetch a bundle that a server has",
		Long: `Fetch a bundle that is, or was, in force on a server, or was pushed to it: a tarball with the files that the digest is of, and the signature under which the server had it last. What does not have the digest is not written.

The digest may be shortened, as long as it is one bundle's alone that "caio policy list" shows; of an older one the whole digest is needed (caio policy list --history).`,
		Example: "  caio policy pull 5f2b6a0c0e54 -o gdpr.tar.gz\n  caio policy pull 5f2b6a0c0e54 -o - | tar -tz",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bundle, text, err := o.pull(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if output == "-" {
				_, err := cmd.OutOrStdout().Write(text)
				return err
			}
			if err := replaceFile(output, text, 0o644); err != nil {
				return err
			}
			done := pulled{output, bundle.Name, bundle.Revision, bundle.Digest, len(text)}
			return o.tell(cmd, done, "%s\n%s\ndigest %s\n%d bytes", done.File, done.Name, done.Digest, done.Bytes)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write, - for standard output")
	markRequired(cmd, "output")
	return cmd
}

// pulled is what is told of a bundle that was fetched. Name is under which the server lists it, or how its digest begins.
type pulled struct {
	File     string `json:"file"`
	Name     string `json:"name"`
	Revision string `json:"revision"`
	Digest   string `json:"digest"`
	Bytes    int    `json:"bytes"`
}

// pull fetches the one bundle of a server whose digest begins so, and holds it to that digest.
func (o *options) pull(ctx context.Context, prefix string) (*rego.Bundle, []byte, error) {
	list, err := o.bundlesOfServer(ctx)
	if err != nil {
		return nil, nil, err
	}
	found, err := oneBundle(slices.Concat(list.Bundles, list.Shadows, list.Pushed), prefix)
	switch {
	case err == nil:
	case len(prefix) == 64 && digestPrefix.MatchString(prefix):
		found.Name, found.Digest = short(prefix), prefix // one that is listed no more
	default:
		return nil, nil, err
	}
	text, err := o.fetch(ctx, http.MethodGet, o.of("/v1/bundles/"+found.Digest), "", nil)
	if err != nil {
		return nil, nil, err
	}
	bundle, diagnostics := rego.ReadTarball(found.Name, bytes.NewReader(text))
	if diagnostics.HasErrors() {
		return nil, nil, unable("the server sent no bundle: %w", diagnostics)
	}
	if bundle.Digest != found.Digest {
		return nil, nil, unable("the server sent another bundle than %s: its digest is %s", found.Digest, bundle.Digest)
	}
	return bundle, text, nil
}

// readOrPull reads a folder or a tarball; where there is none of that name and it is how a digest begins, the bundle of the server. Faults are not an error.
func (o *options) readOrPull(ctx context.Context, name string) (*rego.Bundle, contracts.Diagnostics, error) {
	if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) && digestPrefix.MatchString(name) {
		bundle, _, err := o.pull(ctx, name)
		return bundle, nil, err
	}
	return readBundle(name)
}
