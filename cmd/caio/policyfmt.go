package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/spf13/cobra"
)

func newPolicyFmt(o *options) *cobra.Command {
	var f policyFmt
	cmd := &cobra.Command{
		Use:   "fmt DIR...",
		Short: "Lay the files of Rego out as OPA's formatter does",
		Long: `Lay the files of Rego (*.rego) in folders out as OPA's formatter does, as "opa fmt --write". Files that change are listed, each is replaced as a whole, and none is if one of them can't be parsed.
Hidden folders and symbolic links are passed over, as a bundle's are. In place of a folder, - is a file on standard input, which is laid out on standard output.

With --check and with --diff nothing is written: exit 1 if a file would change. Exit 1 also if a file can't be parsed.

Rego of OPA before 1.0 is refused unless asked for: --v0-v1 rewrites it so that OPA of both sides of 1.0 reads it, and --v0-compatible leaves it what it is.`,
		Example: "  caio policy fmt policies\n  caio policy fmt policies --check\n  caio policy fmt old --v0-v1",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(o, cmd, args)
		},
	}
	cmd.Flags().BoolVar(&f.check, "check", false, "list the files that would change, and change none")
	cmd.Flags().BoolVarP(&f.diff, "diff", "d", false, "show what would change, and change nothing")
	cmd.Flags().BoolVar(&f.v0, "v0-compatible", false, "the files are Rego of OPA before 1.0, and stay so")
	cmd.Flags().BoolVar(&f.v0v1, "v0-v1", false, "the files are Rego of OPA before 1.0, and become what OPA since reads too")
	cmd.MarkFlagsMutuallyExclusive("v0-compatible", "v0-v1")
	return cmd
}

type policyFmt struct{ check, diff, v0, v0v1 bool }

// reformatted is a file whose layout is not the formatter's.
type reformatted struct {
	path     string
	mode     fs.FileMode
	old, new []byte
}

func (f *policyFmt) run(o *options, cmd *cobra.Command, paths []string) error {
	if slices.Equal(paths, []string{"-"}) {
		return f.filter(o, cmd)
	}
	changed, faults, err := f.reformat(paths)
	if err != nil {
		return err
	}
	if o.diagnose(cmd, faults) {
		return no()
	}
	dry := f.check || f.diff
	names := []string{}
	for _, file := range changed {
		names = append(names, file.path)
		if dry {
			continue
		}
		if err := replaceFile(file.path, file.new, file.mode); err != nil {
			return err
		}
	}
	switch {
	case o.machine():
		err = o.emit(cmd, map[string]any{"changed": names})
	case f.diff:
		for _, file := range changed {
			o.present(cmd).printf("%s", diff.Diff(file.path, file.old, file.path+" (formatted)", file.new))
		}
	case len(names) > 0 && (f.check || !o.quiet):
		o.present(cmd).printf("%s\n", strings.Join(names, "\n"))
	}
	if err == nil && dry && len(names) > 0 {
		err = no()
	}
	return err
}

// filter lays out what stands on standard input.
func (f *policyFmt) filter(o *options, cmd *cobra.Command) error {
	text, err := readAll(cmd.InOrStdin())
	if err != nil {
		return err
	}
	laidOut, faults := f.layOut("stdin", text)
	if o.diagnose(cmd, faults) {
		return no()
	}
	same := bytes.Equal(text, laidOut)
	switch {
	case f.diff:
		o.present(cmd).printf("%s", diff.Diff("stdin", text, "stdin (formatted)", laidOut))
	case !f.check:
		_, err = cmd.OutOrStdout().Write(laidOut)
	}
	if err == nil && !same && (f.check || f.diff) {
		err = no()
	}
	return err
}

// layOut formats one file, and holds the result to being Rego.
func (f *policyFmt) layOut(name string, text []byte) (laidOut []byte, faults contracts.Diagnostics) {
	read, written := ast.RegoV1, ast.RegoV1
	switch {
	case f.v0:
		read, written = ast.RegoV0, ast.RegoV0
	case f.v0v1:
		read, written = ast.RegoV0, ast.RegoV0CompatV1
	}
	laidOut, err := format.SourceWithOpts(name, text, format.Opts{RegoVersion: written, ParserOptions: &ast.ParserOptions{RegoVersion: read}})
	if err != nil {
		if _, old := ast.ParseModuleWithOpts(name, string(text), ast.ParserOptions{RegoVersion: ast.RegoV0}); old == nil && read == ast.RegoV1 {
			faults.Errorf("old-rego", "", contracts.Position{File: name}, "this is Rego of OPA before 1.0: --v0-v1 rewrites it")
			return nil, faults
		}
		return nil, rego.Diagnosed(err)
	}
	if _, err := ast.ParseModuleWithOpts(name, string(laidOut), ast.ParserOptions{RegoVersion: written}); err != nil {
		faults.Errorf("formatter", "", contracts.Position{File: name}, "the formatter breaks this file, which is left as it is: %v", rego.Diagnosed(err))
	}
	return laidOut, faults
}

// reformat reads every file of Rego at or below the paths, in order. The faults are of files that can't be parsed.
func (f *policyFmt) reformat(paths []string) (changed []reformatted, faults contracts.Diagnostics, err error) {
	found := 0
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), "."):
				return fs.SkipDir
			case !entry.Type().IsRegular() || filepath.Ext(path) != ".rego":
				return nil
			}
			found++
			info, err := entry.Info()
			if err != nil {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			laidOut, wrong := f.layOut(path, text)
			faults = append(faults, wrong...)
			if !wrong.HasErrors() && !bytes.Equal(text, laidOut) {
				changed = append(changed, reformatted{path, info.Mode().Perm(), text, laidOut})
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	if found == 0 {
		return nil, nil, not("there is no file of Rego (*.rego) in %s", strings.Join(paths, ", "))
	}
	return changed, faults, nil
}
