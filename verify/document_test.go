package verify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/gowebpki/jcs"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/verify"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	path := "testdata/" + file
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (write it anew with -update, if that is meant); got\n%s", path, got)
	}
}

// The bytes of a document are what is signed: they may never change for a version.
func TestDocumentGolden(t *testing.T) {
	golden(t, "document.json", example(t).evidence.Document)
}

func TestDocumentIsCanonicalByAnIndependentLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := randomProof(t).evidence.Document
		want, err := jcs.Transform(text)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text, want) {
			t.Fatalf("got  %s\nwant %s", text, want)
		}
	})
}

func TestDocumentRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := randomProof(t).evidence.Document
		d, err := verify.DecodeDocument(text)
		if err != nil {
			t.Fatal(err)
		}
		if again := must(d.Canonical())(t); !bytes.Equal(text, again) {
			t.Fatalf("got  %s\nwant %s", again, text)
		}
	})
}

// Each edit leaves JSON that says the same, or nearly, and is not the document's one form.
func TestDecodeDocumentRefusesOtherForms(t *testing.T) {
	text := string(example(t).evidence.Document)
	for name, edit := range map[string][2]string{
		"unknown key":          {`{"attestations"`, `{"a":1,"attestations"`},
		"unknown key within":   {`"engine":{"arch"`, `"engine":{"a":1,"arch"`},
		"duplicate key":        {`"base":1234,`, `"base":1234,"base":1234,`},
		"other case":           {`"base":1234,`, `"Base":1234,`},
		"missing key":          {`"base":1234,`, ``},
		"re-ordered":           {`"base":1234,"bundles"`, `"bundles"`},
		"white space":          {`"base":1234`, `"base": 1234`},
		"leading white space":  {`{"attestations"`, ` {"attestations"`},
		"float":                {`"base":1234`, `"base":1234.0`},
		"exponent":             {`"base":1234`, `"base":1234e0`},
		"negative zero":        {`"control":[250000`, `"control":[-0`},
		"big integer":          {`"base":1234`, `"base":9007199254740992`},
		"bigger integer":       {`"base":1234`, `"base":18446744073709551616`},
		"null":                 {`"base":1234`, `"base":null`},
		"null for a list":      {`"exclude":["old-service"]`, `"exclude":null`},
		"empty optional":       {`"purpose"`, `"payload":null,"purpose"`},
		"escaped":              {`"acme"`, `"\u0061cme"`},
		"escaped slash":        {`https://login`, `https:\/\/login`},
		"decimal as number":    {`{"decimal":"0.5"}`, `0.5`},
		"decimal zero":         {`{"decimal":"0.5"}`, `{"decimal":"0.50"}`},
		"whole decimal":        {`"trust":3`, `"trust":{"decimal":"3"}`},
		"longer array":         {`"control":[250000`, `"control":[0,250000`},
		"invalid UTF-8":        {`"acme"`, "\"ac\xffme\""},
		"lone surrogate":       {`"acme"`, `"\ud800"`},
		"byte order mark":      {`{"attestations"`, "\ufeff{\"attestations\""},
		"null in a value":      {`"shape":{"a":[`, `"shape":{"a":[null,`},
		"schema":               {`caio.proof/v1`, `caio.proof/v2`},
		"calculus":             {`caio.calculus/v1`, `caio.calculus/v2`},
		"time of the id":       {`"time":"2026-11-22T12:00:00.123Z"`, `"time":"2026-11-22T12:00:00.124Z"`},
		"form of the time":     {`"time":"2026-11-22T12:00:00.123Z"`, `"time":"2026-11-22T12:00:00,123Z"`},
		"digest in upper case": {`"settings":{"digest":"`, `"settings":{"digest":"A`},
		"index after base":     {`"index":1200`, `"index":1234`},
		"unsorted roles":       {`"roles":["app"]`, `"roles":["app","an"]`},
		"repeated role":        {`"roles":["app"]`, `"roles":["app","app"]`},
		"profile":              {`"profile":"balanced"`, `"profile":"fast"`},
		"source":               {`"purpose":"caller"`, `"purpose":"rumour"`},
		"stage":                {`"stage":"policy"`, `"stage":"match"`},
		"kind of the stage":    {`"stage":"policy"`, `"stage":"security"`},
		"both fates":           {`"score":{"estimate":{"cost_micro_usd":10,`, `"eliminated":{"stage":"policy","violations":[]},"score":{"estimate":{"cost_micro_usd":10,`},
		"outcome":              {`"outcome":"routed"`, `"outcome":"denied"`},
		"fields alone":         {`"fields":{"intent"`, `"fields":{"context"`},
		"ok above n":           {`"ok":29`, `"ok":31`},
		"conjunct":             {`"reason":"0"`, `"reason":"00"`},
	} {
		edited := strings.Replace(text, edit[0], edit[1], 1)
		if edited == text {
			t.Errorf("%s: the document no longer holds %s", name, edit[0])
		}
		if _, err := verify.DecodeDocument([]byte(edited)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for name, other := range map[string]string{"empty": "", "more": text + "{}", "line": text + "\n", "null": "null", "list": "[]", "deep": strings.Repeat("[", 1_000_000), "half": text[:len(text)/2]} {
		if _, err := verify.DecodeDocument([]byte(other)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// What an issuer could write in canonical form, and is no document.
func TestValidate(t *testing.T) {
	for want, forge := range map[string]func(*verify.Document){
		"/tenant":               func(d *verify.Document) { d.Tenant = "" },
		"/base":                 func(d *verify.Document) { d.Base = -1 },
		"/decision_id":          func(d *verify.Document) { d.DecisionID = strings.ToUpper(d.DecisionID) },
		"/bundles/1":            func(d *verify.Document) { slices.Reverse(d.Bundles) },
		"/candidates/1":         func(d *verify.Document) { d.Candidates[0], d.Candidates[1] = d.Candidates[1], d.Candidates[0] },
		"/candidates/2":         func(d *verify.Document) { d.Candidates[2].Eliminated = nil },
		"/candidates/0/service": func(d *verify.Document) { d.Unmatched[0].Service = "bge-local" },
		"/candidates/0/route":   func(d *verify.Document) { d.Candidates[0].Route = "elsewhere" },
		"/candidates/2/eliminated/violations/0/value": func(d *verify.Document) { d.Candidates[2].Eliminated.Violations[0].Value = 0 },
		"/candidates/3/eliminated/violations/0/value": func(d *verify.Document) { d.Candidates[3].Eliminated.Violations[0].Value = 2 },
		"/candidates/3/eliminated/violations/1":       func(d *verify.Document) { slices.Reverse(d.Candidates[3].Eliminated.Violations) },
		"/unmatched/0/ids":                            func(d *verify.Document) { d.Unmatched[0].IDs = nil },
		"/unmatched/0/service":                        func(d *verify.Document) { d.Unmatched[0].Service = "../x" },
		"/request/estimate/units":                     func(d *verify.Document) { d.Request.Estimate.Units = 1_000_001 },
		"/request/traits/conservative":                func(d *verify.Document) { d.Request.Traits.Conservative = -1 },
		"/request/seed":                               func(d *verify.Document) { d.Request.Seed = -1 },
		"/request/previous":                           func(d *verify.Document) { d.Request.Previous = d.Request.Previous[:7] },
		"/request/previous/7":                         func(d *verify.Document) { d.Request.Previous[7]++ },
		"/request/intent/text":                        func(d *verify.Document) { d.Request.Intent.Text += "=" },
		"/request/data/labels/1":                      func(d *verify.Document) { d.Request.Data.Labels = []string{"pii", "pii"} },
		"/request/requirements/capabilities":          func(d *verify.Document) { d.Request.Requirements.Capabilities = []string{} },
		"/request/requirements/capability_parameters/chat": func(d *verify.Document) {
			d.Request.Requirements.CapabilityParameters["chat"] = map[string]contracts.Value{}
		},
		"/request/estimate/defaulted":            func(d *verify.Document) { d.Request.Estimate.Defaulted = []string{"units", "zzz"} },
		"/request/estimate/payload_bytes":        func(d *verify.Document) { d.Request.Estimate.PayloadBytes++ },
		"/request/limits/max_latency_ms":         func(d *verify.Document) { d.Request.Limits.MaxLatencyMS = new(int64) },
		"/request/purpose":                       func(d *verify.Document) { d.Request.Purpose = "why not" },
		"/request/supersedes":                    func(d *verify.Document) { d.Request.Supersedes = "\x00 anything" },
		"/request/sources/context.shareable":     func(d *verify.Document) { d.Request.Sources = map[string]contracts.Source{} },
		"/request/sources/data.labels":           func(d *verify.Document) { d.Request.Sources["data.labels"] = contracts.SourceDefault },
		"/request/sources/estimate.input_tokens": func(d *verify.Document) { d.Request.Payload, d.Request.Estimate.PayloadBytes = nil, 0 },
		"/request/payload/bytes":                 func(d *verify.Document) { d.Request.Payload.Bytes = 0 },
		"/candidates/0/history":                  func(d *verify.Document) { d.Candidates[0].History = &contracts.History{N: 501, OK: 1, P95: 1} },
		"/principal/trust":                       func(d *verify.Document) { d.Principal.Trust = 10_000_001 },
		"/decision/control/0":                    func(d *verify.Document) { d.Choice.Control[0]++ },
		"/decision/objective":                    func(d *verify.Document) { d.Choice.Objective = nil },
		"/decision/nearest":                      func(d *verify.Document) { d.Choice.Nearest = []verify.Nearest{{}} },
		"/decision":                              func(d *verify.Document) { d.Outcome = verify.Denied },
		"/satisfied/predicates/1":                func(d *verify.Document) { slices.Reverse(d.Satisfied.Predicates) },
		"/warnings/1":                            func(d *verify.Document) { d.Warnings = append(d.Warnings, d.Warnings[0]) },
	} {
		d := example(t).document
		forge(d)
		var fault *verify.Fault
		if err := d.Validate(); !errors.As(err, &fault) || fault.Pointer != want {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestDecisionIDIsAUUIDv7OfItsTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := [10]byte(rapid.SliceOfN(rapid.Byte(), 10, 10).Draw(t, "random"))
		id, err := uuid.Parse(verify.NewDecisionID(fixedTime, random))
		if err != nil || id.Version() != 7 || id.Variant() != uuid.RFC4122 {
			t.Fatal(id, err)
		}
		if seconds, nanos := id.Time().UnixTime(); seconds != fixedTime.Unix() || nanos/1_000_000 != int64(fixedTime.Nanosecond())/1_000_000 {
			t.Fatal(seconds, nanos)
		}
	})
}

// leaf is a place of a JSON value that holds no other: pointer, value, and a way to set it.
type leaf struct {
	pointer string
	value   any
	set     func(any)
}

func leaves(at string, v any, set func(any)) []leaf {
	var found []leaf
	switch v := v.(type) {
	case map[string]any:
		for _, key := range sortedKeys(v) {
			found = append(found, leaves(at+"/"+key, v[key], func(other any) { v[key] = other })...)
		}
	case []any:
		for i := range v {
			found = append(found, leaves(fmt.Sprintf("%s/%d", at, i), v[i], func(other any) { v[i] = other })...)
		}
	default:
		found = append(found, leaf{at, v, set})
	}
	return found
}

func sortedKeys(m map[string]any) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// mutants are the texts in which one leaf of a JSON text has another value.
func mutants(t testing.TB, text []byte) map[string][]byte {
	decode := func() any {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		var v any
		if err := decoder.Decode(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	mutated := map[string][]byte{}
	for i, l := range leaves("", decode(), nil) {
		tree := decode()
		same := leaves("", tree, nil)[i]
		switch v := l.value.(type) {
		case bool:
			same.set(!v)
		case string:
			same.set(changed(v))
		case json.Number:
			n, err := v.Int64()
			if err != nil {
				t.Fatal(err)
			}
			same.set(n + 1)
		default:
			t.Fatalf("%s is %T", l.pointer, v)
		}
		mutated[l.pointer] = must(canonical.Encode(integers(tree)))(t)
	}
	if len(mutated) == 0 {
		t.Fatal("no leaf")
	}
	return mutated
}

// changed is another text of the same form where it can be: a digest stays a digest.
func changed(v string) string {
	if v == "" {
		return "x"
	}
	first := byte('a')
	if v[0] == 'a' {
		first = 'b'
	}
	return string(first) + v[1:]
}

// integers turns json.Number into int64, which has a canonical form.
func integers(v any) any {
	switch v := v.(type) {
	case json.Number:
		n, _ := v.Int64()
		return n
	case map[string]any:
		for key := range v {
			v[key] = integers(v[key])
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	}
	return v
}

func FuzzDecodeDocument(f *testing.F) {
	f.Add(example(f).evidence.Document)
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := verify.DecodeDocument(text)
		if err != nil {
			return
		}
		if again := must(d.Canonical())(t); !bytes.Equal(again, text) {
			t.Fatalf("accepted %s, which is written %s", text, again)
		}
		verify.Argmax(d)
		verify.Sentences(nil, d)
		verify.NotShown(d, nil)
	})
}
