package contracts

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestNormalForms reads the first file of each archive and compares its normal form with its file want: a request with the source of each value, what policies see of a contract and where its predicates stand, a principal.
func TestNormalForms(t *testing.T) {
	archives, err := filepath.Glob("testdata/normal/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		input, want := archive.Files[0], &archive.Files[len(archive.Files)-1]
		var admission Admission
		if archive.Files[1].Name == "admission.json" {
			if err := json.Unmarshal(archive.Files[1].Data, &admission); err != nil {
				t.Fatal(err)
			}
		}
		form, faults := normalForm(input.Name, input.Data, admission)
		if faults != nil {
			t.Fatalf("%s: %v", path, faults)
		}
		got, err := json.MarshalIndent(form, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, '\n'); *update {
			want.Data = got
			if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if string(got) != string(want.Data) {
			t.Errorf("%s:\ngot\n%swant\n%s", path, got, want.Data)
		}
	}
}

func normalForm(name string, text []byte, a Admission) (any, Diagnostics) {
	switch strings.TrimSuffix(name, filepath.Ext(name)) {
	case "contract":
		contract, faults := ParseContract(name, text)
		if contract == nil {
			return nil, faults
		}
		form := map[string]any{"view": contract.View(), "digest": contract.Digest()}
		for _, p := range contract.Predicates {
			form[p.ID] = p.Pos
		}
		return form, faults
	case "principal":
		principal, faults := ParsePrincipal(name, text)
		return map[string]any{"view": principal.View(), "subject": principal.Subject}, faults
	}
	r, faults := ParseRequest(name, text, a)
	if r == nil {
		return nil, faults
	}
	return map[string]any{
		"view": r.View(), "sources": r.Sources, "intent.text": r.Intent.Text, "context": r.Context, "data.subjects": r.Data.Subjects, "previous": r.Previous, "payload": string(r.Payload),
	}, faults
}

func TestAdmission(t *testing.T) {
	for _, c := range []struct {
		text      string
		admission Admission
		want      string // the codes of the faults
	}{
		{`{"intent": {"type": "a"}}`, Admission{RequireLabel: true}, "label-required"},
		{`{"intent": {"type": "a"}, "data": {"labels": []}}`, Admission{RequireLabel: true}, "label-required"},
		{`{"intent": {"type": "a"}, "data": {"labels": ["none"]}}`, Admission{RequireLabel: true}, ""},
		{`{"intent": {"type": "a"}, "data": {"labels": ["telemetry"]}}`, Admission{}, "unknown-label"},
		{`{"intent": {"type": "a"}, "seed": 1}`, Admission{}, "not-yours"},
		{`{"intent": {"type": "a"}, "seed": 1}`, Admission{MaySeed: true}, ""},
		{`{"intent": {"type": "a"}, "seed": 9007199254740992}`, Admission{MaySeed: true}, "out-of-range"},
		{`{"intent": {"type": "a"}, "estimate": {"defaulted": []}}`, Admission{MaySeed: true}, "not-yours"},
		{`{"intent": {"type": "a"}, "estimate": {"defaulted": ["units"]}}`, Admission{Operator: true}, "unknown-value"},
		{`{"intent": {"type": "a"}, "execute": false}`, Admission{}, ""},
		{`{"intent": {"type": "a"}, "execute": true}`, Admission{}, "not-here"},
	} {
		_, faults := ParseRequest("", []byte(c.text), c.admission)
		var codes []string
		for _, f := range faults {
			codes = append(codes, f.Code)
		}
		if got := strings.Join(codes, " "); got != c.want {
			t.Errorf("%s with %+v: got %q, want %q", c.text, c.admission, got, c.want)
		}
	}
	if s, faults := ParseSubmission("", []byte(`{"intent": {"type": "a"}, "execute": true}`), Admission{}); s.Request == nil || !s.Execute {
		t.Errorf("execute is lost: %v", faults)
	}
}

// TestSnapshotDigest is held against the lines of the page, hashed by sha256sum.
func TestSnapshotDigest(t *testing.T) {
	if got, want := SnapshotDigest(map[string]string{"b": "02", "a": "01"}), "1161239962f6250289d09b9472648719940ba30ab90a9d740f18673e98a06016"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := SnapshotDigest(nil), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; got != want {
		t.Errorf("of nothing: got %s, want %s", got, want)
	}
}
