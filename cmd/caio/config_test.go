package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/smarthausgroup/caio/contracts"
)

// fullConfig sets every key that there is.
const fullConfig = `listen: 127.0.0.1:9000
diagnostic_addr: 127.0.0.1:9001
store: sqlite:x.db
subjects: sqlite:s.db
checkpoint_dir: c
keys: k
key_passphrase_file: passphrase
root_key: root.pub
former_root_keys: [old.pub]
issuer: caio.example.com
installation: main
development: true
policies: [a, b.tar.gz]
policy_keys: ["release=EdDSA:release.pem"]
approver_keys: approvers
settings: {core: {labels: [telemetry], require_label: true}, n: 1.5}
tenant_settings: {acme: {core: {approve_contracts: true}}}
locked_settings: [core]
witnesses: [{url: "https://witness.example/w1", vkey: witness.example/w1+c4d43e6c+x}]
witness_quorum: 1
witness_every_ms: 2
retention: {classes: {short: {content_days: 30, document_days: 90}}, tenants: {acme: short}}
auth:
  allow_hs256: true
  issuers:
    - name: https://login.example.com
      audience: caio
      jwks_file: keys.json
      jwks_url: https://login.example.com/keys
      secret_file: secret
      tenants: [acme]
      claims: {tenant: org, roles: groups, permissions: scope, trust: level}
limits: {request_bytes: 1, batch_size: 2, decision_ms: 3, shutdown_ms: 4, evaluations: 5, bundle_bytes: 6, gate_ms: 7}
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "caio.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func readTestConfig(t *testing.T, text string, environment ...string) (config, contracts.Diagnostics) {
	t.Helper()
	file := ""
	if text != "" {
		file = writeConfig(t, text)
	}
	c, faults, err := readConfig(file, environment)
	if err != nil {
		t.Fatal(err)
	}
	return c, faults
}

// Every key can be read from the file; the test of it notices a key that is new.
func TestConfigFile(t *testing.T) {
	c, faults := readTestConfig(t, fullConfig)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	for _, path := range zeros(reflect.ValueOf(c), "") {
		t.Errorf("fullConfig does not set %s", path)
	}
	issuer := c.Auth.Issuers[0]
	if issuer.Claims.Tenant != "org" || issuer.Claims.Trust != "level" || c.Limits.ShutdownMS != 4 {
		t.Errorf("%+v", c)
	}
	if labels := c.Settings["core"].V.(map[string]any)["labels"]; !reflect.DeepEqual(labels, []any{"telemetry"}) {
		t.Errorf("%#v", labels)
	}
}

// zeros are the paths of the fields below v that hold nothing.
func zeros(v reflect.Value, path string) (found []string) {
	switch {
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[contracts.Value]():
		for i := range v.NumField() {
			found = append(found, zeros(v.Field(i), path+"."+v.Type().Field(i).Name)...)
		}
	case v.Kind() == reflect.Slice && v.Len() > 0 && v.Index(0).Kind() == reflect.Struct:
		found = zeros(v.Index(0), path+"[0]")
	case v.IsZero():
		found = []string{path}
	}
	return found
}

// A variable for each key outside lists, over the file.
func TestConfigEnvironment(t *testing.T) {
	c, faults := readTestConfig(t, fullConfig,
		"CAIO_LISTEN=:1", "CAIO_DIAGNOSTIC_ADDR=:2", "CAIO_STORE=sqlite:e.db", "CAIO_SUBJECTS=sqlite:f.db", "CAIO_CHECKPOINT_DIR=d", `CAIO_RETENTION_TENANTS={"globex": "short"}`, `CAIO_WITNESSES=[{"url": "u", "vkey": "v"}]`, "CAIO_WITNESS_QUORUM=2", "CAIO_WITNESS_EVERY_MS=3", "CAIO_KEYS=e", "CAIO_KEY_PASSPHRASE_FILE=f", "CAIO_KEY_PASSPHRASE=x", "CAIO_ROOT_KEY=r", "CAIO_FORMER_ROOT_KEYS=s,t", "CAIO_ISSUER=i", "CAIO_INSTALLATION=j", "CAIO_DEVELOPMENT=false",
		"CAIO_POLICIES=p,q", "CAIO_POLICY_KEYS=k", "CAIO_APPROVER_KEYS=a", `CAIO_SETTINGS={"core": {"require_label": false}}`, `CAIO_TENANT_SETTINGS={"globex": {}}`, "CAIO_LOCKED_SETTINGS=gdpr,core",
		"CAIO_AUTH_ALLOW_HS256=false", `CAIO_AUTH_ISSUERS=[{"name": "n", "audience": "a"}]`,
		"CAIO_LIMITS_REQUEST_BYTES=10", "CAIO_LIMITS_BATCH_SIZE=20", "CAIO_LIMITS_DECISION_MS=30", "CAIO_LIMITS_SHUTDOWN_MS=40", "CAIO_LIMITS_EVALUATIONS=50", "CAIO_LIMITS_BUNDLE_BYTES=60", "CAIO_LIMITS_GATE_MS=70",
		"CAIO_TOKEN=t", "CAIO_SERVER=s", "PATH=/bin",
	)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	want := config{
		Listen: ":1", DiagnosticAddr: ":2", Store: "sqlite:e.db", Subjects: "sqlite:f.db", CheckpointDir: "d", Keys: "e", KeyPassphraseFile: "f", RootKey: "r", FormerRootKeys: []string{"s", "t"}, Issuer: "i", Installation: "j", Policies: []string{"p", "q"}, PolicyKeys: []string{"k"}, ApproverKeys: "a",
		Settings:       map[string]contracts.Value{"core": {V: map[string]any{"require_label": false}}},
		TenantSettings: map[string]map[string]contracts.Value{"globex": {}},
		LockedSettings: []string{"gdpr", "core"},
		Witnesses:      []witnessConfig{{"u", "v"}}, WitnessQuorum: 2, WitnessEveryMS: 3,
		Retention: retentionConfig{Classes: map[string]retentionClass{"short": {30, 90}}, Tenants: map[string]string{"globex": "short"}},
		Auth:      authConfig{Issuers: []issuerConfig{{Name: "n", Audience: "a"}}},
		Limits:    limitsConfig{10, 20, 30, 40, 50, 60, 70},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

// A first try without a file is for development; a file says so itself.
func TestConfigDefaults(t *testing.T) {
	if c, faults := readTestConfig(t, ""); len(faults) > 0 || !c.Development || c.Store != "sqlite:caio.db" || c.Limits.DecisionMS == 0 {
		t.Errorf("%+v %v", c, faults)
	}
	if c, faults := readTestConfig(t, "issuer: x"); len(faults) > 0 || c.Development {
		t.Errorf("%+v %v", c, faults)
	}
}

// Every fault of file and environment, at once, each with its place.
func TestConfigFaults(t *testing.T) {
	_, faults := readTestConfig(t, "listne: x\nlimits:\n  batch: 3\n  evaluations: many\nauth: {issuers: [{audience: caio}]}\nsettings: {n: ~}\n",
		"CAIO_LIMITS_DECISION_MS=soon", `CAIO_AUTH_ISSUERS=[{"name": 1, "audience": "a"}]`, `CAIO_SETTINGS={"core": {"a": null}}`, "CAIO_DEVELOPMENT=yes")
	var got []string
	for _, fault := range faults {
		got = append(got, strings.TrimPrefix(fault.String(), filepath.Dir(fault.Pos.File)+"/"))
	}
	want := []string{
		`caio.yaml:1:1: there is no key "listne" here: did you mean "listen"? (/listne)`,
		`caio.yaml:3:3: there is no key "batch" here`,
		`caio.yaml:4:16: expected a number, found text (/limits/evaluations)`,
		`caio.yaml:5:`,
		`caio.yaml:6:15: null is not a value here`,
		`CAIO_AUTH_ISSUERS: expected text, found a number: put 1 in quotes (/auth/issuers/0/name)`,
		`CAIO_DEVELOPMENT: expected true or false, found text (/development)`,
		`CAIO_LIMITS_DECISION_MS: expected a number, found text (/limits/decision_ms)`,
		`CAIO_SETTINGS: null is not a value here`,
	}
	if len(got) != len(want) {
		t.Fatalf("%d faults, not %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}

// The published schema takes what the server takes, and refuses what it refuses.
func TestConfigSchema(t *testing.T) {
	schema := compileSchema(t)
	documented, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```yaml\n(listen:.*?)```").FindSubmatch(documented)
	if example == nil {
		t.Fatal("docs/operate.md has no example of a configuration")
	}
	for name, c := range map[string]struct {
		text string
		good bool
	}{
		"every key":            {fullConfig, true},
		"the documentation's":  {string(example[1]), true},
		"nothing":              {"{}", true},
		"an unknown key":       {"listne: x", false},
		"an unknown key below": {"limits: {batch: 3}", false},
		"a wrong type":         {"limits: {batch_size: many}", false},
		"a missing key":        {"auth: {issuers: [{name: n}]}", false},
		"a wrong claim":        {"auth: {issuers: [{name: n, audience: a, claims: {role: x}}]}", false},
		"a null":               {"settings: {n: ~}", false},
		"a text for a list":    {"policies: a", false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := validate(t, schema, c.text); (err == nil) != c.good {
				t.Errorf("the schema says %v", err)
			}
			if _, faults := readTestConfig(t, c.text); faults.HasErrors() == c.good {
				t.Errorf("the server says %v", faults)
			}
		})
	}
}

// Every key says in the schema what it is for.
func TestConfigSchemaDescribesEveryKey(t *testing.T) {
	text, err := configSchema()
	if err != nil {
		t.Fatal(err)
	}
	type object struct {
		Properties map[string]struct {
			Description string
			Default     string
		}
	}
	var root struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for of, o := range map[string]object{"the file": root.object, "authConfig": root.Defs["authConfig"], "issuerConfig": root.Defs["issuerConfig"], "limitsConfig": root.Defs["limitsConfig"], "claimsConfig": root.Defs["claimsConfig"]} {
		for key, property := range o.Properties {
			seen++
			if property.Description == "" && property.Default == "" {
				t.Errorf("%s: %s has no description", of, key)
			}
		}
	}
	if seen < 25 {
		t.Errorf("only %d keys were seen", seen)
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := configSchema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("caio.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("caio.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(t *testing.T, schema *jsonschema.Schema, text string) error {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(value)
}
