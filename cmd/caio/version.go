package main

import (
	"github.com/smarthausgroup/caio/server"
	"github.com/spf13/cobra"
)

func newVersion(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say what this program is built from, as its proofs do",
		Example: "  caio version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			build, err := server.ReadBuild()
			if err != nil {
				return err
			}
			if o.machine() {
				return o.emit(cmd, build)
			}
			p := o.present(cmd)
			for _, fact := range [][2]string{
				{"caio", build.Version}, {"build", build.Digest}, {"go", build.Go + " " + build.Arch},
				{"opa", build.OPA}, {"cel-go", build.CEL}, {"built-ins", build.Capabilities},
			} {
				p.printf("%-10s %s\n", fact[0], fact[1])
			}
			return nil
		},
	}
}
