package main

import (
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
)

const (
	defaultKeys = "caio-keys"
	prefix      = "CAIO"  // of the variables
	maxConfig   = 1 << 20 // bytes
)

// config is the configuration file of `caio serve` (spec/interface.md, "Configuration"). Every key is also a variable of the environment: `limits.request_bytes` is CAIO_LIMITS_REQUEST_BYTES, lists are split at commas.
type config struct {
	Listen            string                                `json:"listen,omitempty" jsonschema_description:"where the API listens"`
	DiagnosticAddr    string                                `json:"diagnostic_addr,omitempty" jsonschema_description:"where metrics are served without a token; nowhere when empty"`
	Store             string                                `json:"store,omitempty" jsonschema_description:"sqlite:FILE"`
	Subjects          string                                `json:"subjects,omitempty" jsonschema_description:"sqlite:FILE of the keys of the people whom content is about; beside the store when empty, as caio-subjects.db beside caio.db"`
	CheckpointDir     string                                `json:"checkpoint_dir,omitempty" jsonschema_description:"folder of the latest checkpoint of every log, to which a start holds the store; beside the store when empty, as caio-checkpoints beside caio.db; best on another disk, and not among what is restored with the store"`
	Keys              string                                `json:"keys,omitempty" jsonschema_description:"folder of the signing keys, made at the first start"`
	KeyPassphraseFile string                                `json:"key_passphrase_file,omitempty" jsonschema_description:"file with the passphrase of sealed keys, which may also stand in CAIO_KEY_PASSPHRASE"`
	RootKey           string                                `json:"root_key,omitempty" jsonschema_description:"file with the public key of the offline root, which lets keys in and revokes them"`
	FormerRootKeys    []string                              `json:"former_root_keys,omitempty" jsonschema_description:"files with the public keys of offline roots before that: what they signed in the logs stays believed, and nothing new is taken from them"`
	Issuer            string                                `json:"issuer,omitempty" jsonschema_description:"name of the installation in its proofs"`
	Installation      string                                `json:"installation,omitempty" jsonschema_description:"tenant whose approvers attest and grant, for every tenant"`
	Development       bool                                  `json:"development,omitempty" jsonschema_description:"take tokens of the development issuer, and policies that no key signed; the proofs say so"`
	Policies          []string                              `json:"policies,omitempty" jsonschema_description:"folders or tarballs of policies in force for every tenant; those that come with caio when empty"`
	PolicyKeys        []string                              `json:"policy_keys,omitempty" jsonschema_description:"public keys that sign policies, each ID=ALGORITHM:FILE"`
	ApproverKeys      string                                `json:"approver_keys,omitempty" jsonschema_description:"keys with which approvers sign activations: a file with a JWK Set, or a folder of such files"`
	Settings          map[string]contracts.Value            `json:"settings,omitempty" jsonschema_description:"operational settings of every tenant without its own"`
	TenantSettings    map[string]map[string]contracts.Value `json:"tenant_settings,omitempty" jsonschema_description:"operational settings by tenant"`
	LockedSettings    []string                              `json:"locked_settings,omitempty" jsonschema_description:"packs whose settings only people of the installation's tenant change over the API"`
	Witnesses         []witnessConfig                       `json:"witnesses,omitempty" jsonschema_description:"witnesses that cosign the checkpoints of the logs (c2sp.org/tlog-witness); none when empty"`
	WitnessQuorum     int                                   `json:"witness_quorum,omitempty" jsonschema_description:"how many of them must have cosigned a checkpoint before it is given as cosigned; all when 0"`
	WitnessEveryMS    int64                                 `json:"witness_every_ms,omitempty" jsonschema_description:"time between the checkpoints of a log that are sent to them; 10000 when 0"`
	Retention         retentionConfig                       `json:"retention,omitzero" jsonschema_description:"for how long content and documents are kept; until they are erased when empty"`
	Auth              authConfig                            `json:"auth,omitzero" jsonschema_description:"whose tokens are taken"`
	Limits            limitsConfig                          `json:"limits,omitzero" jsonschema_description:"what one caller can take up"`
}

type retentionConfig struct {
	Classes map[string]retentionClass `json:"classes,omitempty" jsonschema_description:"ages by the name of a class; standard is the class of tenants that have no other"`
	Tenants map[string]string         `json:"tenants,omitempty" jsonschema_description:"classes by tenant"`
}

type retentionClass struct {
	ContentDays  int `json:"content_days,omitempty" jsonschema_description:"days after which content is erased, from the end of the month of its decision; 0 is never"`
	DocumentDays int `json:"document_days,omitempty" jsonschema_description:"the same for documents, which go with the content or after it"`
}

type authConfig struct {
	AllowHS256 bool           `json:"allow_hs256,omitempty" jsonschema_description:"let an issuer have a shared secret; for development only"`
	Issuers    []issuerConfig `json:"issuers,omitempty" jsonschema_description:"identity providers"`
}

type issuerConfig struct {
	Name       string       `json:"name" jsonschema:"required" jsonschema_description:"what the tokens hold as iss"`
	Audience   string       `json:"audience" jsonschema:"required" jsonschema_description:"what the tokens must hold in aud"`
	JWKSFile   string       `json:"jwks_file,omitempty" jsonschema_description:"file with the issuer's JWK Set"`
	JWKSURL    string       `json:"jwks_url,omitempty" jsonschema_description:"where the issuer's JWK Set is fetched"`
	SecretFile string       `json:"secret_file,omitempty" jsonschema_description:"file with the secret of HS256"`
	Tenants    []string     `json:"tenants,omitempty" jsonschema_description:"tenants that the tokens may name; any when empty"`
	Claims     claimsConfig `json:"claims,omitzero" jsonschema_description:"names of the claims, where they are not the usual ones"`
}

type claimsConfig struct {
	Tenant      string `json:"tenant,omitempty" jsonschema:"default=tenant"`
	Roles       string `json:"roles,omitempty" jsonschema:"default=roles"`
	Permissions string `json:"permissions,omitempty" jsonschema:"default=permissions"`
	Trust       string `json:"trust,omitempty" jsonschema:"default=trust"`
}

type limitsConfig struct {
	RequestBytes int64 `json:"request_bytes,omitempty" jsonschema_description:"size of a request's body"`
	BatchSize    int   `json:"batch_size,omitempty" jsonschema_description:"requests of a batch"`
	DecisionMS   int64 `json:"decision_ms,omitempty" jsonschema_description:"time until a decision is stored"`
	ShutdownMS   int64 `json:"shutdown_ms,omitempty" jsonschema_description:"time for requests in flight at the end"`
	Evaluations  int   `json:"evaluations,omitempty" jsonschema_description:"decisions that are evaluated at once"`
	BundleBytes  int64 `json:"bundle_bytes,omitempty" jsonschema_description:"size of a bundle that is pushed, compressed"`
	GateMS       int64 `json:"gate_ms,omitempty" jsonschema_description:"time for the tests of a bundle, before it is taken in or put in force"`
}

// readConfig reads the file, if there is one, then the environment. Without a file it is the configuration of a first try: development.
func readConfig(file string, environment []string) (config, contracts.Diagnostics, error) {
	c := config{Listen: "127.0.0.1:8080", Store: "sqlite:caio.db", Keys: defaultKeys, Issuer: "caio", Installation: "default", Development: file == "", Limits: limitsInForce(server.DefaultLimits())}
	var faults contracts.Diagnostics
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return c, nil, err
		}
		root, ds := source.Parse(file, text, maxConfig)
		if faults = ds; root != nil {
			source.Decode(root, &c, &faults)
		}
	}
	values := map[string]string{}
	for _, assignment := range environment {
		if name, value, ok := strings.Cut(assignment, "="); ok {
			values[name] = value
		}
	}
	if root := collect(reflect.TypeFor[config](), prefix, values); len(root) > 0 {
		text, err := json.Marshal(root)
		if err != nil {
			return c, nil, err
		}
		var wrong contracts.Diagnostics
		node, ds := source.ParseJSON("environment", text, maxConfig)
		if wrong = append(wrong, ds...); node != nil {
			source.Decode(node, &c, &wrong)
		}
		for _, d := range wrong {
			d.Pos = contracts.Position{File: variable(d.Pointer, values)}
			faults = append(faults, d)
		}
	}
	return c, faults, nil
}

// variable is the one that holds what the pointer points to.
func variable(pointer string, values map[string]string) string {
	name := prefix
	for key := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		name += "_" + strings.ToUpper(key)
		if _, set := values[name]; set {
			break
		}
	}
	return name
}

// collect gathers the keys of t that the environment sets.
func collect(t reflect.Type, above string, values map[string]string) map[string]any {
	found := map[string]any{}
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		name := above + "_" + strings.ToUpper(key)
		if f.Type.Kind() == reflect.Struct {
			if below := collect(f.Type, name, values); len(below) > 0 {
				found[key] = below
			}
			continue
		}
		text, set := values[name]
		if !set {
			continue
		}
		switch {
		case f.Type.Kind() == reflect.String:
			found[key] = text
		case f.Type == reflect.TypeFor[[]string]():
			found[key] = strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
		default:
			found[key] = json.RawMessage(text)
			if !json.Valid([]byte(text)) {
				found[key] = text // of the wrong type, which the decoder reports
			}
		}
	}
	return found
}

// configSchema is the JSON Schema of the file.
func configSchema() ([]byte, error) {
	reflector := jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true, Mapper: func(t reflect.Type) *jsonschema.Schema {
		if t == reflect.TypeFor[contracts.Value]() {
			return &jsonschema.Schema{Not: &jsonschema.Schema{Type: "null"}}
		}
		return nil
	}}
	schema := reflector.Reflect(&config{})
	schema.Title = "Configuration of caio serve"
	return json.MarshalIndent(schema, "", "  ")
}

func limitsInForce(l server.Limits) limitsConfig {
	return limitsConfig{RequestBytes: l.RequestBytes, BatchSize: l.BatchSize, DecisionMS: l.Decision.Milliseconds(), ShutdownMS: l.Shutdown.Milliseconds(), Evaluations: l.Evaluations, BundleBytes: l.BundleBytes, GateMS: l.Gate.Milliseconds()}
}

func (c limitsConfig) limits() server.Limits {
	return server.Limits{
		RequestBytes: c.RequestBytes, BatchSize: c.BatchSize, Evaluations: c.Evaluations, BundleBytes: c.BundleBytes, Gate: time.Duration(c.GateMS) * time.Millisecond,
		Decision: time.Duration(c.DecisionMS) * time.Millisecond, Shutdown: time.Duration(c.ShutdownMS) * time.Millisecond,
	}
}

func (c authConfig) issuers() ([]auth.Issuer, error) {
	var issuers []auth.Issuer
	for _, i := range c.Issuers {
		issuer := auth.Issuer{Name: i.Name, Audience: i.Audience, File: i.JWKSFile, URL: i.JWKSURL, Tenants: i.Tenants, Claims: auth.Claims(i.Claims)}
		if i.SecretFile != "" {
			secret, err := os.ReadFile(i.SecretFile)
			if err != nil {
				return nil, unable("auth.issuers: the secret of %s: %w", i.Name, err)
			}
			issuer.Secret = []byte(strings.TrimSpace(string(secret)))
		}
		issuers = append(issuers, issuer)
	}
	return issuers, nil
}

// exactSettings turns settings of the file into those of the server.
func exactSettings(settings map[string]contracts.Value) map[string]any {
	exact := make(map[string]any, len(settings))
	for key, value := range settings {
		exact[key] = value.V
	}
	return exact
}

// signing is where the keys are with which statements are signed.
func (c config) signing() signing { return signing{c.Keys, c.KeyPassphraseFile} }

// root is the public key of the offline root, nil where there is none.
func (c config) root() (ed25519.PublicKey, error) {
	if c.RootKey == "" {
		return nil, nil
	}
	return readPublic(c.RootKey)
}

// formerRoots are the public keys of the offline roots before.
func (c config) formerRoots() ([]ed25519.PublicKey, error) {
	var roots []ed25519.PublicKey
	for _, file := range c.FormerRootKeys {
		root, err := readPublic(file)
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
	return roots, nil
}

// subjects is the URL of the store of subjects, of which there is one for each store.
func (c config) subjects(store string) string {
	if c.Subjects != "" {
		return c.Subjects
	}
	return "sqlite:" + beside(store, "subjects")
}

// beside is the file of a store's name with a part added.
func beside(store, part string) string {
	extension := filepath.Ext(store)
	return strings.TrimSuffix(store, extension) + "-" + part + extension
}

// checkpoints is the folder of the latest checkpoints, made at the first start.
func (c config) checkpoints() (string, error) {
	folder, err := c.checkpointDir()
	if err != nil {
		return "", err
	}
	return folder, os.MkdirAll(folder, 0o755)
}

func (c config) checkpointDir() (string, error) {
	if c.CheckpointDir != "" {
		return c.CheckpointDir, nil
	}
	file, err := storeFile(c.Store)
	return strings.TrimSuffix(file, filepath.Ext(file)) + "-checkpoints", err
}

func (c retentionConfig) retention() server.Retention {
	classes := make(map[string]server.RetentionClass, len(c.Classes))
	for name, class := range c.Classes {
		classes[name] = server.RetentionClass(class)
	}
	return server.Retention{Classes: classes, Tenants: c.Tenants}
}

// storeFile is the file of a store URL.
func storeFile(url string) (string, error) {
	file, ok := strings.CutPrefix(url, "sqlite:")
	if !ok || file == "" {
		return "", misused("store: %q is not sqlite:FILE, the one kind there is so far", url)
	}
	return file, nil
}
