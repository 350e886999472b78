package catalog_test

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/catalog"
)

func all(t *testing.T) []*contracts.Contract {
	t.Helper()
	all, err := catalog.All()
	if err != nil {
		t.Fatalf("the catalogue:\n%v", err)
	}
	if len(all) < 24 {
		t.Fatalf("%d contracts, want at least 24", len(all))
	}
	return all
}

func TestContractsCompile(t *testing.T) {
	files, err := fs.Glob(catalog.FS, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i, contract := range all(t) {
		if contract.ID+".yaml" != files[i] {
			t.Errorf("%s holds the contract %s", files[i], contract.ID)
		}
		if _, ds := cel.Compile(contract); len(ds) > 0 {
			t.Errorf("%s: %v", contract.ID, ds)
		}
	}
}

// What services of one capability must have in common for a request to require it of any of them.
var parameters = map[string][]string{
	"embeddings":    {"dimensions"},
	"rerank":        {"batch"},
	"search":        {"results"},
	"speech":        {"formats", "streaming"},
	"transcription": {"streaming", "diarization"},
	"image":         {"sizes", "editing"},
	"chat":          {"context", "tools", "vision", "streaming"},
}

func TestKinds(t *testing.T) {
	offered := map[string][]*contracts.Contract{}
	for _, contract := range all(t) {
		for _, capability := range contract.Capabilities {
			offered[capability.Type] = append(offered[capability.Type], contract)
			common, known := parameters[capability.Type]
			if !known {
				t.Errorf("%s: the capability %s is not in README.md", contract.ID, capability.Type)
			}
			for _, name := range common {
				if _, ok := capability.Parameters[name]; !ok {
					t.Errorf("%s: no parameter %s", contract.ID, name)
				}
			}
			if capability.Model == "" || contract.API["model"].V != capability.Model {
				t.Errorf("%s: the model is %q, and %v in the api", contract.ID, capability.Model, contract.API["model"].V)
			}
		}
	}
	for kind := range parameters {
		services := offered[kind]
		own := func(c *contracts.Contract) bool { return c.Placement != contracts.External }
		if len(services) < 3 || !slices.ContainsFunc(services, own) {
			t.Errorf("%s: %d services, want at least 3, one of them not external", kind, len(services))
		}
	}
}

func TestEachSaysHowToCallIt(t *testing.T) {
	environment := regexp.MustCompile(`^[A-Z][A-Z0-9_]+$`)
	for _, contract := range all(t) {
		for _, key := range []string{"protocol", "base_url"} {
			if text, _ := contract.API[key].V.(string); text == "" {
				t.Errorf("%s: no api.%s", contract.ID, key)
			}
		}
		name, stated := contract.API["key_env"].V.(string)
		if external := contract.Placement == contracts.External; external && !stated || stated && !environment.MatchString(name) {
			t.Errorf("%s: api.key_env is %q, want the name of an environment variable", contract.ID, name)
		}
		for key := range contract.API {
			if !slices.Contains([]string{"protocol", "base_url", "model", "key_env", "query"}, key) {
				t.Errorf("%s: api.%s is unknown, and must not be a key", contract.ID, key)
			}
		}
		for _, name := range []string{"latency", "availability"} {
			if _, ok := contract.Guarantees[name]; !ok {
				t.Errorf("%s: no guarantee %s", contract.ID, name)
			}
		}
	}
}

// Prices, latencies and availability are guesses or change: each such line says that it is an example.
func TestGuessesAreMarked(t *testing.T) {
	guess := regexp.MustCompile(`^\s*(owner|latency|availability|per_\w+|requests_per_minute|max_concurrency):`)
	files, _ := fs.Glob(catalog.FS, "*.yaml")
	for _, file := range files {
		text, err := catalog.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		marked := 0
		for i, line := range strings.Split(string(text), "\n") {
			switch {
			case strings.Contains(line, "# example"):
				marked++
			case guess.MatchString(line):
				t.Errorf("%s:%d: %q is not marked as an example", file, i+1, line)
			}
		}
		if marked == 0 {
			t.Errorf("%s marks nothing as an example", file)
		}
	}
}
