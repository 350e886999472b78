// Package architecture holds the house to its plan: who may import whom.
package architecture

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/smarthausgroup/caio/"

// allowed lists, for a package and all below it, which of our packages it may import. A package without a row may import everything.
// The longest prefix that fits decides.
var allowed = map[string][]string{
	"contracts":            {"contracts"},
	"contracts/catalog":    {"contracts"},
	"policies":             {},
	"cel":                  {"contracts"},
	"rego":                 {"contracts"},
	"verify":               {"contracts", "verify"},
	"verify/replay":        {"contracts", "verify", "cel", "rego"},
	"verify/tlog":          {},
	"verify/web":           {"verify"},
	"engine":               {"contracts", "cel", "rego", "engine", "verify"},
	"engine/field":         {"contracts"},
	"engine/impact/export": {"contracts", "verify"},
	"internal/store":       {"internal/store"},
	"internal/keyfile":     {"verify"},
	"internal/seal":        {"verify", "contracts", "internal/store/sqlite"},
	"internal/ledger":      {"internal/store", "internal/seal", "internal/ledger", "verify", "contracts"},
	"internal/witness":     {"internal/store", "verify/tlog"},
	"server":               {"server", "contracts", "cel", "rego", "engine", "verify", "policies", "internal"},
	"server/auth":          {"server/auth", "contracts", "verify", "internal"},
}

// foreign lists what a package must not depend on, however indirectly.
var foreign = map[string][]string{
	"verify":             {"github.com/open-policy-agent/opa", "cel.dev/cel-go", module + "engine", module + "server", "net/http"},
	"verify/tlog":        {"github.com/open-policy-agent/opa", "cel.dev/cel-go", "net/http", "golang.org/x/mod"},
	"contracts":          {"github.com/open-policy-agent/opa", "cel.dev/cel-go", "net/http"},
	"verify/web/checker": {"github.com/open-policy-agent/opa", "cel.dev/cel-go", "net/http"},
	"engine":             {"github.com/labstack/echo", "modernc.org/sqlite"},
}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// list reads what packages import, as they are compiled with these variables.
func list(t *testing.T, packages string, environment ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", packages)
	cmd.Env = append(os.Environ(), environment...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImports(t *testing.T) {
	packages := list(t, module+"...")
	if len(packages) < 10 {
		t.Fatalf("only %d packages found", len(packages))
	}
	browser := list(t, module+"verify/web/checker", "GOOS=js", "GOARCH=wasm")
	if len(browser) != 1 {
		t.Fatalf("%d packages found for a browser", len(browser))
	}
	packages = append(packages, browser...)
	for _, p := range packages {
		name := strings.TrimPrefix(p.ImportPath, module)
		may, ruled := rule(name)
		for _, imported := range p.Imports {
			other, ours := strings.CutPrefix(imported, module)
			if ours && ruled && !within(other, may) {
				t.Errorf("%s imports %s", name, other)
			}
		}
		for _, banned := range foreign[name] {
			for _, dep := range p.Deps {
				if within(dep, []string{banned}) {
					t.Errorf("%s depends on %s", name, dep)
				}
			}
		}
	}
}

func rule(name string) (may []string, ruled bool) {
	longest := -1
	for prefix, list := range allowed {
		if within(name, []string{prefix}) && len(prefix) > longest {
			longest, may, ruled = len(prefix), list, true
		}
	}
	return may, ruled
}

func within(name string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if name == prefix || strings.HasPrefix(name, prefix+"/") {
			return true
		}
	}
	return false
}
