package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/rego"
)

// firstPackage is the line that declares the package: nothing but comments may stand before it.
var firstPackage = regexp.MustCompile(`(?m)^[ \t]*package[ \t]+(\S+)`)

// inOwnPackage reports whether a file of Rego is in package caio, or in one below it. Of a near miss, as caio.polices, `check` will tell.
func inOwnPackage(text []byte) bool {
	declared := firstPackage.FindSubmatch(text)
	if declared == nil {
		return false
	}
	name := strings.FieldsFunc(string(declared[1]), func(r rune) bool { return r == '.' || r == '[' || r == '#' || r == ';' })
	return len(name) > 0 && name[0] == "caio"
}

func isScenario(path string) bool {
	return strings.HasSuffix(path, ".scenario.yaml") || strings.HasSuffix(path, ".scenario.json")
}

// holdsOwn reports whether a folder, a file or a tarball holds policies or scenarios of CAIO's. Hidden folders are passed over, as a bundle's are.
func holdsOwn(path string, info fs.FileInfo) (bool, error) {
	if info.Mode().IsRegular() && strings.HasSuffix(path, ".tar.gz") {
		bundle, _, err := readBundle(path)
		if err != nil || bundle == nil {
			return false, err // OPA may still read it, or says what is wrong
		}
		return slices.ContainsFunc(bundle.Files, func(file rego.File) bool {
			return isScenario(file.Path) || strings.HasSuffix(file.Path, ".rego") && inOwnPackage(file.Text)
		}), nil
	}
	own, root := false, walkable(path)
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != root && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		case isScenario(file):
			own = true
		case filepath.Ext(file) == ".rego":
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			own = inOwnPackage(text)
		}
		if own {
			return fs.SkipAll
		}
		return nil
	})
	return own, err
}

// walkable is a path under which a folder is walked too where it is named by a symbolic link.
func walkable(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return strings.TrimRight(path, string(filepath.Separator)) + string(filepath.Separator)
	}
	return path
}

func scenarioFiles(paths []string) (files []string, err error) {
	for _, path := range paths {
		err := filepath.WalkDir(walkable(path), func(file string, entry fs.DirEntry, err error) error {
			if err == nil && isScenario(file) {
				files = append(files, file)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// wholeBundles refuses what is only a part of a bundle: a file of Rego, or a folder below the one with the manifest, which says which schema and settings its rules go by.
func wholeBundles(paths []string) error {
	for _, path := range paths {
		info, err := statPolicies(path)
		if err != nil {
			return err
		}
		file := info.Mode().IsRegular() && filepath.Ext(path) == ".rego"
		if !file && (!info.IsDir() || exists(filepath.Join(path, ".manifest"))) {
			continue
		}
		switch above := bundleAbove(path); {
		case above != "" && file:
			return misused("%s is one file of the bundle %s: name the bundle, and choose among its tests with --run, as in\n  caio policy test %s --run %s", path, above, above, packageIn(path))
		case above != "":
			return misused("%s is only a part of the bundle %s, whose .manifest and schema.json lie there: name the bundle", path, above)
		case file:
			return misused("%s is a file: name the folder of its bundle", path)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// bundleAbove is the nearest folder above a path with a manifest, within the repository; "" without one.
func bundleAbove(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	here, _ := os.Getwd()
	for dir := absolute; !exists(filepath.Join(dir, ".git")) && dir != filepath.Dir(dir); {
		dir = filepath.Dir(dir)
		if !exists(filepath.Join(dir, ".manifest")) {
			continue
		}
		if relative, err := filepath.Rel(here, dir); err == nil {
			return relative
		}
		return dir
	}
	return ""
}

// packageIn is the package of a file of Rego, as --run takes it.
func packageIn(path string) string {
	text, err := os.ReadFile(path)
	if declared := firstPackage.FindSubmatch(text); err == nil && declared != nil {
		return "data." + string(declared[1])
	}
	return "REGEX"
}
