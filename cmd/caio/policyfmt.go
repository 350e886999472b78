package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
)

func newPolicyFmt(o *options) *cobra.Command {
	var f policyFmt
	cmd := &cobra.Command{
		Use:   "fmt DIR...",
		Short: "Lay the files of Rego out as OPA's formatter does",
		Long: `Lay the files of Rego (*.rego) in folders out as OPA's formatter does. Files that change are listed, each is replaced as a whole, and none is if one of them can't be parsed.
Hidden folders and symbolic links are passed over, as a bundle's are.

With --check and with --diff nothing is written: exit 1 if a file would change. Exit 1 also if a file can't be parsed.`,
		Example: "  caio policy fmt policies\n  caio policy fmt policies --check",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(o, cmd, args)
		},
	}
	cmd.Flags().BoolVar(&f.check, "check", false, "list the files that would change, and change none")
	cmd.Flags().BoolVar(&f.diff, "diff", false, "show what would change, and change nothing")
	return cmd
}

type policyFmt struct{ check, diff bool }

// reformatted is a file whose layout is not the formatter's.
type reformatted struct {
	path     string
	mode     fs.FileMode
	old, new []byte
}

func (f *policyFmt) run(o *options, cmd *cobra.Command, paths []string) error {
	changed, faults, err := reformat(paths)
	if err != nil {
		return err
	}
	if len(faults) > 0 {
		return not("%w", errors.Join(faults...))
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

// reformat reads every file of Rego at or below the paths, in order. The faults are of files that can't be parsed.
func reformat(paths []string) (changed []reformatted, faults []error, err error) {
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
			laidOut, err := format.SourceWithOpts(path, text, format.Opts{RegoVersion: ast.RegoV1})
			if err != nil {
				faults = append(faults, err)
			} else if !bytes.Equal(text, laidOut) {
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
