package main

import (
	"encoding/json"
	"fmt"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/spf13/cobra"
)

func newPolicySchema(o *options) *cobra.Command {
	var family string
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of what rules see as input",
		Long: `Print the JSON Schema of what the rules of a family see as input, with the meaning of each field: for "opa check --schema", Regal, editors, and people.

Rules in caio.safety see neither the service nor the estimate. "caio settings schema" is the schema of the settings.`,
		Example: "  caio policy schema > input.schema.json\n  caio policy schema --family safety",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch f := contracts.Family(family); f {
			case contracts.StageSafety, contracts.StagePolicy, contracts.StageTraits:
				schema := rego.InputSchema(f)
				if o.machine() {
					return o.emit(cmd, schema)
				}
				text, err := json.MarshalIndent(schema, "", "  ")
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
				return err
			}
			return misused("--family is safety, policy or traits, not %q", family)
		},
	}
	cmd.Flags().StringVar(&family, "family", "policy", "`FAMILY` of the rules: safety, policy or traits")
	return cmd
}
