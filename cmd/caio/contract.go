package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/server"
	"github.com/spf13/cobra"
)

func newContract(o *options) *cobra.Command {
	return group("contract", "Check, compile and register service contracts",
		newContractCheck(o), newContractCompile(o), newContractSchema(o), newContractPush(o), newContractList(o), newContractAttest(o), newContractGrant(o))
}

// contractSource is a contract with the text that it was read from.
type contractSource struct {
	file     string
	text     []byte
	contract *contracts.Contract
	program  *cel.Program
}

// media is the media type of the text.
func (s contractSource) media() string {
	if filepath.Ext(s.file) == ".json" {
		return "application/json"
	}
	return "application/yaml"
}

// readContracts reads and compiles every contract that the paths name: files, or folders of *.yaml, *.yml and *.json.
func readContracts(paths []string) ([]contractSource, contracts.Diagnostics, error) {
	files, err := contractFiles(paths)
	if err != nil {
		return nil, nil, err
	}
	var sources []contractSource
	var all contracts.Diagnostics
	ids := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, err
		}
		contract, program, diagnostics := cel.Read(file, text)
		all = append(all, diagnostics...)
		if diagnostics.HasErrors() {
			continue
		}
		if first, twice := ids[contract.ID]; twice {
			all.Errorf("repeated-id", "/id", contracts.Position{File: file}, "the service id %s is taken by %s", contract.ID, first)
			continue
		}
		ids[contract.ID] = file
		sources = append(sources, contractSource{file, text, contract, program})
	}
	return sources, all, nil
}

// soundContracts reads contracts for a command that needs them whole: it tells their faults, and ends the command if one is an error.
func (o *options) soundContracts(cmd *cobra.Command, paths []string) ([]contractSource, error) {
	sources, diagnostics, err := readContracts(paths)
	if err == nil && o.diagnose(cmd, diagnostics) {
		err = no()
	}
	return sources, err
}

func contractFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			switch filepath.Ext(file) {
			case ".yaml", ".yml", ".json":
				files = append(files, file)
			default:
				if file == path {
					files = append(files, file)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, unable("there is no contract (*.yaml, *.yml, *.json) in %s", strings.Join(paths, ", "))
	}
	return files, nil
}

func newContractCheck(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE|DIR...",
		Short:   "Check contracts: every fault with its file, line and column",
		Example: "  caio contract check contracts/",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sources, diagnostics, err := readContracts(args)
			if err != nil {
				return err
			}
			if o.machine() {
				if err := o.emit(cmd, append(contracts.Diagnostics{}, diagnostics...)); err != nil {
					return err
				}
			} else {
				o.diagnose(cmd, diagnostics)
			}
			if diagnostics.HasErrors() {
				return no()
			}
			if o.machine() {
				return nil
			}
			return o.tell(cmd, nil, "contracts checked: %d, all well-formed", len(sources))
		},
	}
}

func newContractCompile(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "compile FILE",
		Short:   "Show the predicates that a contract compiles into",
		Example: "  caio contract compile contracts/catalog/voyage-embeddings.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sources, err := o.soundContracts(cmd, args)
			if err != nil {
				return err
			}
			for _, s := range sources {
				if o.machine() {
					if err := o.emit(cmd, map[string]any{"service": s.contract.ID, "digest": s.contract.Digest(), "predicates": s.program.Predicates()}); err != nil {
						return err
					}
					continue
				}
				p := o.present(cmd)
				p.printf("%s %s\n", p.title.Render(s.contract.ID), p.faint.Render(s.contract.Digest()))
				for _, predicate := range s.program.Predicates() {
					p.printf("\n%s %s\n", p.bold.Render(predicate.ID), p.faint.Render(string(predicate.Stage)))
					p.printf("  %s\n", strings.ReplaceAll(predicate.Expr, "\n", "\n  "))
				}
			}
			return nil
		},
	}
}

func newContractSchema(*options) *cobra.Command {
	return &cobra.Command{
		Use:       "schema [contract|request]",
		Short:     "Print the JSON Schema of contracts, or of requests",
		Example:   "  caio contract schema > contract.schema.json",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"contract", "request"},
		RunE: func(cmd *cobra.Command, args []string) error {
			schema := contracts.ContractSchema()
			if len(args) == 1 && args[0] == "request" {
				schema = contracts.RequestSchema()
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", schema)
			return err
		},
	}
}

func newContractPush(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "push FILE|DIR...",
		Short:   "Register contracts with a server, or update them",
		Example: "  caio contract push contracts/catalog --token $CAIO_TOKEN",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sources, err := o.soundContracts(cmd, args)
			if err != nil {
				return err
			}
			step, end := o.progress(cmd, "registering")
			defer end()
			registrations := make([]server.Registration, len(sources))
			for i, s := range sources {
				step(i, len(sources))
				if err := o.call(cmd.Context(), http.MethodPut, "/v1/services/"+url.PathEscape(s.contract.ID), s.media(), s.text, &registrations[i]); err != nil {
					return fmt.Errorf("%s: %w", s.file, err)
				}
			}
			end()
			return o.tell(cmd, registrations, "%s", pushed(registrations))
		},
	}
}

func pushed(registrations []server.Registration) string {
	unchanged, pending := 0, ""
	for _, r := range registrations {
		if r.Unchanged {
			unchanged++
		}
		if r.Pending {
			pending += "\n  " + r.Service + " " + r.Contract
		}
	}
	text := fmt.Sprintf("contracts registered: %d", len(registrations))
	if unchanged > 0 {
		text += fmt.Sprintf(", of them unchanged: %d", unchanged)
	}
	if pending != "" {
		text += "\nawaiting an approver (caio contract attest), by digest:" + pending
	}
	return text
}

func newContractList(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the services that a server knows",
		Example: "  caio contract list --token $CAIO_TOKEN",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			services, err := o.services(cmd.Context())
			if err != nil {
				return err
			}
			if o.machine() {
				return o.emit(cmd, services)
			}
			rows := [][]string{}
			for _, s := range services {
				attestation := string(s.Attestation)
				if s.Pending != "" {
					attestation += ", pending"
				}
				rows = append(rows, []string{s.ID, s.Version, string(s.Placement), attestation, s.Name})
			}
			o.present(cmd).table([]string{"SERVICE", "VERSION", "ROUTE", "ATTESTATION", "NAME"}, rows)
			return nil
		},
	}
}

// services are all that the tenant sees, page after page.
func (o *options) services(ctx context.Context) ([]server.ServiceSummary, error) {
	services := []server.ServiceSummary{}
	path := o.of("/v1/services?limit=1000")
	err := eachPage(ctx, o, path, func(page server.ServiceList) string {
		services = append(services, page.Services...)
		return page.Next
	})
	return services, err
}

func newContractAttest(o *options) *cobra.Command {
	var body server.AttestationRequest
	var level string
	cmd := &cobra.Command{
		Use:     "attest SERVICE",
		Short:   "Record an approver's word on a contract, by its digest",
		Example: "  caio contract attest bge-local --level audited --reason 'reviewed 2026-11, ticket 812'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/v1/services/" + url.PathEscape(args[0])
			if body.Contract == "" {
				var registered server.ServiceDetail
				if err := o.call(cmd.Context(), http.MethodGet, o.of(path), "", nil, &registered); err != nil {
					return err
				}
				if registered.Pending != "" && registered.Pending != registered.Contract {
					return misused("%s has a contract in force, %s, and one that awaits approval, %s: say with --contract which was looked at", args[0], registered.Contract, registered.Pending)
				}
				body.Contract = registered.Contract
			}
			body.Level = contracts.Attestation(level)
			var answer server.ServiceSummary
			if err := o.put(cmd, path+"/attestation", body, &answer); err != nil {
				return err
			}
			return o.tell(cmd, answer, "%s is %s: contract %s", answer.ID, answer.Attestation, answer.Contract)
		},
	}
	cmd.Flags().StringVar(&level, "level", "", "self, audited or verified")
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why; it stands in the log")
	cmd.Flags().StringVar(&body.Contract, "contract", "", "`DIGEST` of the contract that was looked at; the registered one's if not given")
	markRequired(cmd, "level", "reason")
	return cmd
}

func newContractGrant(o *options) *cobra.Command {
	var tenants []string
	var reason string
	cmd := &cobra.Command{
		Use:     "grant SERVICE",
		Short:   "Say which other tenants see a service",
		Example: "  caio contract grant bge-local --to acme,globex --reason 'shared embeddings'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var answer server.GrantsAnswer
			if err := o.put(cmd, "/v1/services/"+url.PathEscape(args[0])+"/grants", server.GrantsRequest{Tenants: append([]string{}, tenants...), Reason: reason}, &answer); err != nil {
				return err
			}
			return o.tell(cmd, answer, "besides its owner, %s is seen by %s", answer.Service, or(strings.Join(answer.Tenants, ", "), "nobody"))
		},
	}
	cmd.Flags().StringSliceVar(&tenants, "to", nil, "every tenant that sees it from now on; none takes all grants back")
	cmd.Flags().StringVar(&reason, "reason", "", "why; it stands in the log")
	markRequired(cmd, "reason")
	return cmd
}

func markRequired(cmd *cobra.Command, flags ...string) {
	for _, flag := range flags {
		if err := cmd.MarkFlagRequired(flag); err != nil {
			panic(err)
		}
	}
}

// put sends what an approver says of a service, of the tenant that --tenant names.
func (o *options) put(cmd *cobra.Command, path string, v, answer any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return o.call(cmd.Context(), http.MethodPut, o.of(path), "application/json", body, answer)
}
