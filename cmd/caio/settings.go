package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/spf13/cobra"
)

func newSettings(o *options) *cobra.Command {
	return group("settings", "Read, check and change operational settings",
		newSettingsGet(o), newSettingsSet(o), newSettingsCheck(o), newSettingsSchema(o), newSettingsVersions(o), newSettingsRollback(o), newSettingsReset(o))
}

const settingsPath = "/v1/settings"

func newSettingsGet(o *options) *cobra.Command {
	var effective bool
	var revision int64
	cmd := &cobra.Command{
		Use:   "get",
		Short: "Print the settings in force, or those of a revision, as YAML",
		Long: `Print the settings in force, or those of a revision, as YAML that caio settings set takes.

With --effective they are printed as policies read them: over the defaults of the bundles.`,
		Example: "  caio settings get > settings.yaml\n  caio settings get --effective\n  caio settings get --revision 3",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if revision != 0 {
				if effective {
					return misused("--effective is about the settings in force: leave --revision out")
				}
				var version server.SettingsRevision
				if err := o.call(cmd.Context(), http.MethodGet, o.of(settingsPath+"/versions/"+strconv.FormatInt(revision, 10)), "", nil, &version); err != nil {
					return err
				}
				return o.tellSettings(cmd, version, version.Content, fmt.Sprintf("revision %d, %s, by %s: %s", version.Revision, version.Digest, version.Actor, version.Reason))
			}
			var answer server.SettingsAnswer
			if err := o.call(cmd.Context(), http.MethodGet, o.of(settingsPath), "", nil, &answer); err != nil {
				return err
			}
			if effective {
				return o.tellSettings(cmd, answer, answer.Effective, "as policies read them")
			}
			return o.tellSettings(cmd, answer, answer.Settings, fmt.Sprintf("revision %d, %s, put there by %s", answer.InForce.Revision, answer.InForce.Digest, whose(answer.Scope)))
		},
	}
	cmd.Flags().BoolVar(&effective, "effective", false, "as policies read them: over the defaults of the bundles")
	cmd.Flags().Int64Var(&revision, "revision", 0, "those of an earlier `REVISION`")
	return cmd
}

// whose says who put settings in force.
func whose(scope string) string {
	if scope == "" {
		return "the configuration"
	}
	return "the tenant"
}

// tellSettings prints a whole answer for machines, and for people its settings in the form of a file, below what the file is.
func (o *options) tellSettings(cmd *cobra.Command, answer any, settings map[string]any, what string) error {
	if o.machine() {
		return o.emit(cmd, answer)
	}
	text, err := json.Marshal(settings)
	if err == nil {
		text, err = toYAML(text)
	}
	if err == nil && !o.quiet {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "# %s\n", strings.ReplaceAll(what, "\n", " "))
	}
	if err == nil {
		_, err = cmd.OutOrStdout().Write(text)
	}
	return err
}

// readSettingsFile reads a file, or standard input for "-", as a tree with places.
func (o *options) readSettingsFile(cmd *cobra.Command, file string) (*source.Node, error) {
	name := file
	text, err := []byte(nil), error(nil)
	if file == "-" {
		name = "stdin"
		text, err = readAll(cmd.InOrStdin())
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	node, faults := source.Parse(name, text, maxConfig)
	if node == nil {
		o.diagnose(cmd, faults)
		return nil, no()
	}
	return node, nil
}

func newSettingsSet(o *options) *cobra.Command {
	var reason, previous string
	cmd := &cobra.Command{
		Use:   "set FILE",
		Short: "Put the settings of a file in force, whole",
		Long: `Put the settings of a file (YAML or JSON, - for standard input) in force, whole: what the file leaves out is as the bundles' defaults have it.

The server refuses what the bundles in force do not take, and names each fault. With --previous it changes nothing where others than those of that digest are in force by now.`,
		Example: "  caio settings set settings.yaml --reason 'Switzerland, ticket 88'\n  caio settings set settings.yaml --tenant acme --previous 5f2b…8b27 --reason 'ticket 88'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := o.readSettingsFile(cmd, args[0])
			if err != nil {
				return err
			}
			body, err := json.Marshal(map[string]any{"settings": json.RawMessage(node.JSON()), "reason": reason, "previous": previous})
			if err != nil {
				return err
			}
			var change server.SettingsChange
			if err := o.call(cmd.Context(), http.MethodPut, o.of(settingsPath), "application/json", body, &change); err != nil {
				return o.atTheirPlaces(cmd, err, node)
			}
			return o.tellChange(cmd, change)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; it stands in the log")
	cmd.Flags().StringVar(&previous, "previous", "", "`DIGEST` of the settings that the change was made from")
	markRequired(cmd, "reason")
	return cmd
}

// atTheirPlaces tells the faults that a server found in settings as faults of the file that they come from.
func (o *options) atTheirPlaces(cmd *cobra.Command, err error, node *source.Node) error {
	var refused *refusal
	if !errors.As(err, &refused) {
		return err
	}
	var faults contracts.Diagnostics
	for _, e := range refused.problem.Errors {
		pointer, inside := strings.CutPrefix(e.Pointer, "/settings")
		if !inside {
			return err
		}
		faults.Errorf(e.Code, pointer, contracts.Position{}, "%s", e.Detail)
	}
	if len(faults) == 0 {
		return err
	}
	o.diagnose(cmd, rego.PlaceSettings(node, faults))
	return not("%s (%s)", or(refused.problem.Detail, refused.problem.Title), refused.problem.Code)
}

func (o *options) tellChange(cmd *cobra.Command, change server.SettingsChange) error {
	if change.Unchanged {
		return o.tell(cmd, change, "unchanged: revision %d, %s", change.Revision, change.Settings)
	}
	return o.tell(cmd, change, "in force: revision %d, %s", change.Revision, change.Settings)
}

func newSettingsCheck(o *options) *cobra.Command {
	var policies []string
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Hold settings to the schemas of bundles, and compile these with them, without a server",
		Long: `Hold the settings of a file (YAML or JSON, - for standard input) to the schemas of bundles, and compile these with them, without a server: every fault with its file, line and column.

Without --policies the bundles are those that come with caio.`,
		Example: "  caio settings check settings.yaml --policies policies --policies acme",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bundles, err := o.bundles(cmd, policies)
			if err != nil {
				return err
			}
			form, faults := rego.NewSettingsForm(bundles, nil)
			if form == nil {
				o.diagnose(cmd, faults)
				return no()
			}
			node, err := o.readSettingsFile(cmd, args[0])
			if err != nil {
				return err
			}
			settings, faults := form.Read(node)
			if !faults.HasErrors() {
				_, faults = rego.Compile(bundles, rego.Options{Settings: settings})
			}
			if o.machine() {
				if err := o.emit(cmd, append(contracts.Diagnostics{}, faults...)); err != nil {
					return err
				}
			} else {
				o.diagnose(cmd, faults)
			}
			if faults.HasErrors() {
				return no()
			}
			if o.machine() {
				return nil
			}
			return o.tell(cmd, nil, "%s: the bundles take these settings", args[0])
		},
	}
	cmd.Flags().StringSliceVar(&policies, "policies", nil, "`FOLDERS` or tarballs of the bundles")
	return cmd
}

func newSettingsSchema(o *options) *cobra.Command {
	var policies []string
	cmd := &cobra.Command{
		Use:   "schema [PACK]",
		Short: "Print the JSON Schema of the settings, or of one pack's: for editors, and to look up",
		Long: `Print the JSON Schema of the settings that the server's bundles take, or, with --policies, those of some folders.

What the bundles' defaults give is not required, and stands at "default".`,
		Example: "  caio settings schema gdpr\n  caio settings schema --policies policies > settings.schema.json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			schema, err := o.settingsSchema(cmd, policies)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				packs, _ := schema["properties"].(map[string]any)
				pack, ok := packs[args[0]].(map[string]any)
				if !ok {
					names := make([]string, 0, len(packs))
					for name := range packs {
						names = append(names, name)
					}
					slices.Sort(names)
					return not("no settings are named %q%s; there are %s", args[0], source.DidYouMean(args[0], names), strings.Join(names, ", "))
				}
				schema = pack
			}
			if o.machine() {
				return o.emit(cmd, schema)
			}
			text, err := json.MarshalIndent(schema, "", "  ")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", bytes.TrimSpace(text))
			return err
		},
	}
	cmd.Flags().StringSliceVar(&policies, "policies", nil, "`FOLDERS` or tarballs of bundles, in place of a server's")
	return cmd
}

func (o *options) settingsSchema(cmd *cobra.Command, policies []string) (map[string]any, error) {
	if len(policies) == 0 {
		var answer server.SettingsAnswer
		err := o.call(cmd.Context(), http.MethodGet, o.of(settingsPath), "", nil, &answer)
		return answer.Schema, err
	}
	bundles, err := o.bundles(cmd, policies)
	if err != nil {
		return nil, err
	}
	form, faults := rego.NewSettingsForm(bundles, nil)
	if form == nil {
		o.diagnose(cmd, faults)
		return nil, no()
	}
	return form.Schema(), nil
}

func newSettingsVersions(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "versions",
		Short:   "List the settings that were in force: when, by whom and why",
		Example: "  caio settings versions --tenant acme",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			versions := []server.SettingsVersion{}
			path := o.of(settingsPath + "/versions?limit=1000")
			if err := eachPage(cmd.Context(), o, path, func(page server.SettingsVersionList) string {
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
				rows = append(rows, []string{strconv.FormatInt(v.Revision, 10), v.Time, cmp.Or(v.Scope, "configuration"), v.Actor, short(v.Digest), v.Reason})
			}
			o.present(cmd).table([]string{"REVISION", "TIME", "FROM", "BY", "DIGEST", "REASON"}, rows)
			return nil
		},
	}
}

func newSettingsRollback(o *options) *cobra.Command {
	var body server.SettingsRollback
	cmd := &cobra.Command{
		Use:     "rollback REVISION",
		Short:   "Put the settings of an earlier revision in force again",
		Example: "  caio settings rollback 3 --reason 'denies the intake service, ticket 93'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			revision, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return misused("%q is no revision; caio settings versions lists them", args[0])
			}
			body.Revision = revision
			return o.postSettings(cmd, "/rollback", body)
		},
	}
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; it stands in the log")
	cmd.Flags().StringVar(&body.Previous, "previous", "", "`DIGEST` of the settings that are expected in force")
	markRequired(cmd, "reason")
	return cmd
}

func newSettingsReset(o *options) *cobra.Command {
	var body server.SettingsReset
	cmd := &cobra.Command{
		Use:     "reset",
		Short:   "Put the settings of the installation's configuration in force again, and follow it",
		Example: "  caio settings reset --reason 'as everybody'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.postSettings(cmd, "/reset", body)
		},
	}
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; it stands in the log")
	cmd.Flags().StringVar(&body.Previous, "previous", "", "`DIGEST` of the settings that are expected in force")
	markRequired(cmd, "reason")
	return cmd
}

func (o *options) postSettings(cmd *cobra.Command, call string, request any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	var change server.SettingsChange
	if err := o.call(cmd.Context(), http.MethodPost, o.of(settingsPath+call), "application/json", body, &change); err != nil {
		return err
	}
	return o.tellChange(cmd, change)
}
