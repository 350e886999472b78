package main

import (
	"embed"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/spf13/cobra"
)

// policyRepository is what init writes. It is a bundle by itself, with a name that is replaced.
//
//go:embed all:template
var policyRepository embed.FS

func newPolicyInit(o *options) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Write a small repository of policies: a pack, its tests and settings, and workflows for CI",
		Long: `Write a small repository of policies: a pack with two constraints, its tests, scenarios and settings, and workflows for GitHub and GitLab. It passes "check", "fmt --check" and "test" as it is.

The pack is named as the folder is, or with --name; its constraints begin with that name. Nothing is overwritten: the folder may exist, but hold no more than a .git.`,
		Example: "  caio policy init acme\n  caio policy init legal-policies --name legal",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.initPolicies(cmd, args[0], name)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`PACK`, as in the package caio.policy.PACK (default: as the folder)")
	return cmd
}

// initialised is what is told of a new repository.
type initialised struct {
	Folder string   `json:"folder"`
	Pack   string   `json:"pack"`
	Files  []string `json:"files"`
}

func (o *options) initPolicies(cmd *cobra.Command, dir, name string) error {
	if name == "" {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		name = strings.ReplaceAll(strings.ToLower(filepath.Base(absolute)), "-", "_")
	}
	if reason := badPackName(name); reason != "" {
		return misused("%q can't be the name of a pack: %s; give another with --name", name, reason)
	}
	files, err := fillRepository(name)
	if err != nil {
		return err
	}
	if err := vacant(dir); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		if err := writeNew(filepath.Join(dir, filepath.FromSlash(name)), files[name]); err != nil {
			return err
		}
	}
	return o.tell(cmd, initialised{dir, name, names}, "%s: the pack %s, in %d files\nnext: cd %s, read README.md, and run\n  caio policy check .\n  caio policy test .", dir, name, len(names), dir)
}

var packName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// badPackName says why a name is none of a pack of one's own.
func badPackName(name string) string {
	if !packName.MatchString(name) {
		return "it is not of the form " + packName.String()
	}
	if name == "core" {
		return "settings.core are CAIO's own"
	}
	if taken, _ := fs.Glob(policies.FS, "*/"+name); len(taken) > 0 {
		return "a pack of that name comes with CAIO"
	}
	return ""
}

// vacant refuses a folder that holds something other than a repository without files.
func vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != ".git" {
			return not("%s is not empty: it holds %s. Name a new folder, and copy from it what you want to have here", dir, entry.Name())
		}
	}
	return nil
}

// fillRepository puts a pack's name into the template. A name with which the pack does not compile, as one of a built-in function that it calls, is refused.
func fillRepository(name string) (map[string][]byte, error) {
	files := map[string][]byte{}
	filled := strings.NewReplacer("yourpack", name, "YOURPACK", strings.ToUpper(strings.ReplaceAll(name, "_", "-")), "/cmd/caio@latest", "/cmd/caio@"+installable())
	err := fs.WalkDir(policyRepository, "template", func(from string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := policyRepository.ReadFile(from)
		files[filled.Replace(strings.TrimPrefix(from, "template/"))] = []byte(filled.Replace(string(text)))
		return err
	})
	if err != nil {
		return nil, err
	}
	bundle, faults := rego.ReadFiles(name, files)
	if bundle != nil {
		_, faults = rego.Compile([]*rego.Bundle{bundle}, rego.Options{})
	}
	if faults.HasErrors() {
		return nil, misused("%q can't be the name of a pack, which would not compile: give another with --name\n%w", name, faults)
	}
	return files, nil
}

// writeNew writes a file that is not there yet.
func writeNew(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

var released = regexp.MustCompile(`^v\d+\.\d+\.\d+$`)

// installable is the version of this program, if it is one that CI can install, and else the newest.
func installable() string {
	if build, err := server.ReadBuild(); err == nil && released.MatchString(build.Version) {
		return build.Version
	}
	return "latest"
}
