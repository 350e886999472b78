package export

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

const house = `package caio.policy.house

import rego.v2

# METADATA
# title: Personal data stays in the EU
# custom: {severity: high, controls: [], remedy: Choose a service in the EU.}
violation["GDPR-44"] contains "outside" if not "eu" in input.service.privacy.regions
`

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// sample is an export of n decisions over two services, one of them attested.
func sample(t testing.TB, n int) []byte {
	t.Helper()
	bundle, faults := rego.ReadFS("house", fstest.MapFS{"house.rego": {Data: []byte(house)}})
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	policies, faults := rego.Compile([]*rego.Bundle{bundle}, rego.Options{})
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	var services []*engine.Service
	for i, region := range []string{"eu", "us"} {
		service, faults := engine.ReadService("c.yaml", fmt.Appendf(nil, "schema: caio.contract/v1\nid: s-%s\nname: S\nversion: 1.0.0\nowner: a@example.com\nplacement: external\ncapabilities: [{type: chat}]\ncost: {}\nprivacy: {locality: cloud, regions: [%s]}\n", region, region))
		if faults.HasErrors() {
			t.Fatal(faults)
		}
		services = append(services, service.Attested([]contracts.Attestation{contracts.Verified, contracts.SelfAttested}[i]))
	}
	snapshot := must[*engine.Snapshot](t)(engine.NewSnapshot(services...))
	decider := must[*engine.Engine](t)(engine.New(engine.Options{}))
	settings := map[string]any{"core": map[string]any{"require_label": false}}
	head := Head{Tenant: "acme", Log: "log", Settings: must[string](t)(verify.SettingsDigest(settings)), Bundles: []verify.BundleReference{{Name: "house", Digest: bundle.Digest, Index: 1}}}
	var file bytes.Buffer
	w := must[*Writer](t)(NewWriter(&file, head))
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(w.Settings(settings))
	check(w.Bundle(head.Bundles[0], bundle.Checked()))
	for i := range n {
		request, faults := contracts.ParseRequest("", fmt.Appendf(nil, `{"intent": {"type": "chat", "text": "question %d"}}`, i), contracts.Admission{})
		if faults.HasErrors() {
			t.Fatal(faults)
		}
		principal := contracts.Principal{Tenant: "acme", Subject: "somebody", Method: "jwt", Issuer: "test"}
		at := time.Date(2026, 11, 22, 12, 0, i, 0, time.UTC)
		decision := must[verify.Decision](t)(decider.Decide(context.Background(), engine.Arguments{Request: request, Principal: principal, Snapshot: snapshot, Policies: policies, Time: at}))
		commitments, disclosures, err := verify.Commit(request, principal.Subject, func(string) []byte { return make([]byte, verify.SaltBytes) })
		check(err)
		document := verify.NewDocument(verify.Header{
			DecisionID: verify.NewDecisionID(at, [10]byte{byte(i)}), Issuer: "caio", Log: "log", Base: 9, Time: at,
			Engine:       verify.Build{Version: "1", Digest: bundle.Digest, Go: "go1", Arch: "any", OPA: "1", CEL: "1", Capabilities: bundle.Digest},
			Snapshot:     verify.Reference{Digest: snapshot.Digest(), Revision: 1, Index: 2},
			Attestations: verify.Reference{Digest: must[string](t)(verify.AttestationsDigest(snapshot.Attestations())), Revision: 1, Index: 3},
			Settings:     verify.Reference{Digest: head.Settings, Revision: 1}, Bundles: head.Bundles,
		}, request, principal, commitments, decision)
		check(w.Attestations(snapshot.Attestations()))
		for _, service := range services {
			check(w.Contract(service.Digest, func() ([]byte, error) { return service.Contract.Canonical(), nil }))
		}
		var texts []string
		if i%2 == 0 { // those of the others are gone
			for _, d := range disclosures {
				texts = append(texts, must[string](t)(d.Text()))
			}
		}
		check(w.Decision(must[[]byte](t)(document.Canonical()), texts))
	}
	check(w.Close())
	return file.Bytes()
}

// readAll reads a file to its end, and decodes every decision.
func readAll(r *Reader, err error) (n int, _ error) {
	if err != nil {
		return 0, err
	}
	for {
		d, err := r.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		document, disclosures, err := d.Decode()
		if err != nil {
			return n, err
		}
		var missing verify.Undisclosed
		if _, _, err := document.Reveal(disclosures); err != nil && !errors.As(err, &missing) {
			return n, err
		}
		for _, c := range document.Candidates {
			if _, err := r.Contract(c.Contract); err != nil {
				return n, err
			}
			if _, err := r.Level(document.Attestations.Digest, c.Service, c.Contract); err != nil {
				return n, err
			}
		}
		n++
	}
}

func TestRoundTrip(t *testing.T) {
	file := sample(t, 5)
	if n, err := readAll(NewReader(bytes.NewReader(file))); n != 5 || err != nil {
		t.Fatalf("%d decisions, %v", n, err)
	}
	r := must[*Reader](t)(NewReader(bytes.NewReader(file)))
	if len(r.Bundles) != 1 || string(r.Bundles[0].Files["house.rego"]) != house || r.Head.Tenant != "acme" || r.Settings["core"] == nil {
		t.Errorf("what was in force: %+v", r)
	}
	d := must[*Decision](t)(r.Next())
	document, disclosures, err := d.Decode()
	if err != nil {
		t.Fatal(err)
	}
	request, _, err := document.Reveal(disclosures)
	if err != nil || request.Intent.Text != "question 0" {
		t.Errorf("the first request: %+v, %v", request, err)
	}
	for _, c := range document.Candidates {
		want := map[string]contracts.Attestation{"s-eu": contracts.Verified, "s-us": contracts.SelfAttested}[c.Service]
		if level, err := r.Level(document.Attestations.Digest, c.Service, c.Contract); level != want || err != nil {
			t.Errorf("%s is %q, %v", c.Service, level, err)
		}
	}
}

// TestTruncated cuts the file at every byte, and puts one behind it.
func TestTruncated(t *testing.T) {
	file := sample(t, 1)
	for n := range file {
		if _, err := readAll(NewReader(bytes.NewReader(file[:n]))); err == nil {
			t.Fatalf("the first %d of %d bytes were taken for a whole file", n, len(file))
		}
	}
	for _, more := range [][]byte{{0}, file} {
		if _, err := readAll(NewReader(bytes.NewReader(append(bytes.Clone(file), more...)))); err == nil {
			t.Errorf("%d bytes behind the end were overlooked", len(more))
		}
	}
}

func unzip(t testing.TB, file []byte) []byte {
	zip := must[*gzip.Reader](t)(gzip.NewReader(bytes.NewReader(file)))
	return must[[]byte](t)(io.ReadAll(zip))
}

func readLines(lines []byte) (int, error) {
	return readAll(newReader(bytes.NewReader(lines), func() error { return nil }))
}

// TestEveryByte changes each byte of the lines, and leaves out, repeats and swaps lines.
func TestEveryByte(t *testing.T) {
	lines := unzip(t, sample(t, 1))
	if _, err := readLines(lines); err != nil {
		t.Fatal(err)
	}
	for i := range lines {
		changed := bytes.Clone(lines)
		changed[i] ^= 1
		if _, err := readLines(changed); err == nil {
			t.Fatalf("byte %d was changed: %q", i, changed[max(0, i-20):min(len(changed), i+20)])
		}
	}
	split := strings.SplitAfter(strings.TrimSuffix(string(lines), "\n"), "\n")
	for i := range split {
		for name, other := range map[string][]string{
			"left out": append(append([]string{}, split[:i]...), split[i+1:]...),
			"repeated": append(append([]string{}, split[:i+1]...), split[i:]...),
		} {
			if _, err := readLines([]byte(strings.Join(other, ""))); err == nil {
				t.Errorf("line %d was %s: %.60s", i+1, name, split[i])
			}
		}
	}
}

func TestWriterHoldsContractsToTheirDigest(t *testing.T) {
	w := must[*Writer](t)(NewWriter(io.Discard, Head{}))
	if err := w.Contract(strings.Repeat("0", 64), func() ([]byte, error) { return []byte("{}"), nil }); err == nil {
		t.Error("a contract was written under another's digest")
	}
}

// FuzzReader: what is accepted, a Writer writes again, byte for byte.
func FuzzReader(f *testing.F) {
	f.Add(unzip(f, sample(f, 0)))
	f.Add(unzip(f, sample(f, 2)))
	f.Fuzz(func(t *testing.T, lines []byte) {
		r, err := newReader(bytes.NewReader(lines), func() error { return nil })
		if err != nil {
			return
		}
		var again bytes.Buffer
		w := must[*Writer](t)(NewWriter(&again, r.Head))
		copyTo(t, r, w)
		if !r.ended {
			return
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := unzip(t, again.Bytes()); !bytes.Equal(got, lines) {
			t.Fatalf("accepted\n%s\nand written\n%s", lines, got)
		}
	})
}

// copyTo writes what is read, in its order, up to the first fault.
func copyTo(t *testing.T, r *Reader, w *Writer) {
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(w.Settings(r.Settings))
	for _, b := range r.Bundles {
		check(w.Bundle(b.BundleReference, b.Files))
	}
	for !r.ended {
		kind, value, err := r.line()
		if err != nil {
			return
		}
		if kind == kindDecision {
			d, err := r.decision(value)
			if err != nil {
				return
			}
			if _, _, err := d.Decode(); err != nil {
				return
			}
			check(w.Decision(d.document, d.disclosures))
			continue
		}
		if r.other(kind, value) != nil {
			return
		}
		switch kind {
		case kindContract:
			check(w.Contract(verify.Digest(value), func() ([]byte, error) { return value, nil }))
		case kindAttestations:
			held, _ := r.attestations.Load(verify.Digest(value))
			check(w.Attestations(held.([]verify.AttestationRecord)))
		}
	}
}
