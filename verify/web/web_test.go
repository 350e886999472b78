package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/verify"
)

// shown is what a page shows, read from its elements.
type shown struct {
	Status, Verdict            string
	Hidden                     bool
	Layers                     []verify.Verdict
	Sentences, NotShown, Parts []string
	Facts                      []verify.Fact
	Vouched                    string
	Foreign                    int  // elements that the page itself doesn't make
	Ran                        bool // a script that a file brought
}

const readPage = `(() => {
	const texts = (selector, of = document) => [...of.querySelectorAll(selector)].map((e) => e.textContent);
	const layer = (li) => {
		const values = Object.fromEntries([...li.querySelectorAll("dt")].map((dt) => [dt.textContent, dt.nextElementSibling.textContent]));
		return {layer: li.dataset.layer, status: li.dataset.status, reason: texts(".reason", li)[0] ?? "", pointer: values["At"] ?? "", want: values["Should be"] ?? "", got: values["Is"] ?? ""};
	};
	return {
		Status: document.getElementById("status").textContent, Verdict: document.getElementById("verdict").textContent, Hidden: document.getElementById("result").hidden,
		Layers: [...document.querySelectorAll("#layers > li")].map(layer), Sentences: texts("#sentences > li"), NotShown: texts("#not-shown > li"), Parts: texts("#parts summary > span"),
		Facts: [...document.querySelectorAll("#facts dt")].map((dt) => ({name: dt.textContent, text: dt.nextElementSibling.textContent})), Vouched: texts("#vouched").join(),
		Foreign: document.querySelectorAll("main img, main script, main iframe, main a, main style").length, Ran: window.ran !== undefined,
	};
})()`

// unsettled is what the page can say of good evidence at best.
const unsettled = "Nothing failed. Not settled: currency, replay. Skipped, and not required: witnesses, outcome."

// once builds the page for all tests.
var once = sync.OnceValues(func() (page, error) { return build(context.Background()) })

// TestPage holds what a browser shows of a file to what package verify says of it in this process.
func TestPage(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	chromium(t)
	built := must(once())(t)
	dir := t.TempDir()
	put := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	b := open(ctx, t, put("verify.html", built.text))
	for _, c := range []struct {
		name    string
		made    []byte
		issuer  string // whom the auditor trusts
		fails   []string
		verdict string
		policy  string // whose cosignatures the auditor asks for
	}{
		{"good", maker{}.written(t), honest, nil, unsettled, ""},
		{"forged by the issuer", maker{worse: true}.written(t), honest, []string{verify.LayerArgmax}, "Refused: argmax failed.", ""},
		{"forged by a stranger", maker{seed: 2}.written(t), honest, []string{verify.LayerSignature}, "Refused: signature failed.", ""},
		{"of another issuer", maker{issuer: "https://other.example.com"}.written(t), honest, []string{verify.LayerDocument}, "Refused: document failed.", ""},
		{"changed", changed(maker{}.written(t)), honest, []string{verify.LayerEvidence}, "Refused: evidence failed.", ""},
		{"no evidence", []byte(markup), honest, []string{verify.LayerEvidence}, "Refused: evidence failed.", ""},
		{"hostile", maker{issuer: markup, reason: markup + "\u202e\x1b[2J" + long, file: "policy/<img src=x onerror='window.ran=1'>.rego"}.written(t), markup, nil, unsettled, ""},
		{"hostile values", maker{issuer: markup + "\u202e" + long}.written(t), honest, []string{verify.LayerDocument}, "Refused: document failed.", ""},
		{"not cosigned yet", maker{}.written(t), honest, nil, "Nothing failed. Not settled: witnesses, currency, replay. Skipped, and not required: outcome.", policyOf(t)},
	} {
		file, pinned := put(c.name+"<b>.caio", c.made), trustWith(t, c.issuer, c.policy)
		b.choose("trust", put(c.name+".json", pinned))
		b.choose("evidence", file)
		b.until(`document.getElementById("status").textContent === "Checked ` + filepath.Base(file) + `."`)
		var page shown
		b.eval(readPage, &page)
		want, verdicts := expected(t, c.made, pinned)
		if page.Verdict != c.verdict || page.Hidden {
			t.Errorf("%s: the page says %q", c.name, page.Verdict)
		}
		if got := failed(page.Layers); !slices.Equal(got, c.fails) || !slices.Equal(failed(verdicts), c.fails) {
			t.Errorf("%s: the page says that %v failed, package verify %v", c.name, got, failed(verdicts))
		}
		if !slices.Equal(page.Layers, want.Layers) {
			t.Errorf("%s: the page shows\n%+v\nand not\n%+v", c.name, page.Layers, want.Layers)
		}
		if !slices.Equal(page.Sentences, want.Sentences) || !slices.Equal(page.NotShown, want.NotShown) {
			t.Errorf("%s: the page tells\n%q\n%q\nand not\n%q\n%q", c.name, page.Sentences, page.NotShown, want.Sentences, want.NotShown)
		}
		if !slices.Equal(page.Facts, want.Facts) || !strings.HasPrefix(page.Vouched, want.Vouched) {
			t.Errorf("%s: the page says of the file\n%q\n%q\nand not\n%q\n%q", c.name, page.Vouched, page.Facts, want.Vouched, want.Facts)
		}
		if page.Foreign > 0 || page.Ran {
			t.Errorf("%s: what the file says became part of the page", c.name)
		}
		if hostile := strings.HasPrefix(c.name, "hostile"); hostile && !strings.Contains(strings.Join(append(page.NotShown, page.Layers[2].Got), ""), markup) && !strings.Contains(strings.Join(page.Sentences, ""), markup) {
			t.Errorf("%s: its markup is not shown as text", c.name)
		}
		for _, look := range []struct {
			width  int
			scheme string
		}{{1000, "light"}, {1000, "dark"}, {380, "light"}} {
			b.picture(c.name+" "+look.scheme+map[bool]string{true: " narrow"}[look.width < 500], look.width, look.scheme)
		}
		var wide bool
		if b.eval(`document.documentElement.scrollWidth > document.documentElement.clientWidth`, &wide); wide {
			t.Errorf("%s: a text makes the page wider than the window", c.name)
		}
	}
	for _, url := range b.requests {
		if !strings.HasPrefix(url, "file://"+dir) && !strings.HasPrefix(url, "blob:") {
			t.Errorf("the page asked for %s", url)
		}
	}
	if len(b.complaints) > 0 {
		t.Errorf("the browser complains: %q", b.complaints)
	}
}

func failed(verdicts []verify.Verdict) []string {
	var layers []string
	for _, v := range verdicts {
		if v.Status == verify.Fail {
			layers = append(layers, v.Layer)
		}
	}
	return layers
}

// visible is a text as the page shows it.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x202e {
			return 0xfffd
		}
		return r
	}, text)
}

// expected is what the page has to show: all that this process says, but for replay, which the page leaves to caio verify.
func expected(t *testing.T, file, pinned []byte) (shown, []verify.Verdict) {
	trusted := must(verify.ParseTrust(pinned))(t)
	ev, verdicts := verify.CheckFile(t.Context(), file, trusted, verify.Options{})
	if ev != nil {
		d := must(verify.DecodeDocument(ev.Document))(t)
		verdicts = append(verdicts, verify.Judge(verify.LayerCompleteness, verify.Complete(ev, d)))
		verdicts = append(verdicts, verify.Verdict{Layer: verify.LayerReplay, Status: verify.Skipped, Reason: "this page holds no evaluator of policies: caio verify re-evaluates the decision"})
		verdicts = verify.Arrange(verdicts)
	}
	report := verify.NewReport(ev, trusted, verdicts, verify.Whole{})
	want := shown{Sentences: report.Sentences, NotShown: report.NotShown, Facts: []verify.Fact{}}
	if report.Facts != nil {
		want.Facts = report.Facts.List()
		want.Vouched = map[bool]string{true: "As the issuer signed it.", false: "As the file says it: "}[report.Facts.Signed]
	}
	for _, v := range verdicts {
		if (v.Want == "") != (v.Got == "") || v.Pointer != "" { // the page names an absent value
			v.Want, v.Got = or(v.Want, "nothing"), or(v.Got, "nothing")
		}
		v.Reason, v.Want, v.Got = visible(v.Reason), visible(v.Want), visible(v.Got)
		want.Layers = append(want.Layers, v)
	}
	return want, verdicts
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// TestPageInUse drops files, opens parts, pastes a trust file, and hands over what is none.
func TestPageInUse(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	chromium(t)
	built := must(once())(t)
	dir := t.TempDir()
	for name, text := range map[string][]byte{"verify.html": built.text, "a.caio": maker{}.written(t), "hostile.caio": maker{reason: markup}.written(t), "trust.json": trust(t, honest), "bad.json": []byte(`{"x": "` + markup + `"}`)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	b := open(ctx, t, in("verify.html"))
	status := func(text string) {
		t.Helper()
		encoded, _ := json.Marshal(text)
		b.until(`document.getElementById("status").textContent.startsWith(` + string(encoded) + `)`)
	}
	b.drop(in("a.caio"))
	status("The trust file is still missing.")
	b.drop(in("trust.json"), in("hostile.caio"))
	status("Checked hostile.caio.")
	var focused string
	if b.eval(`document.activeElement.id`, &focused); focused != "verdict" {
		t.Errorf("the focus is on %q, and not on the verdict", focused)
	}
	var text string
	b.eval(`(() => { const row = [...document.querySelectorAll("#parts details")].find((e) => e.textContent.startsWith("document.json")); row.open = true; row.id = "opened"; })()`, nil)
	b.until(`document.querySelector("#opened pre").textContent`)
	b.eval(`document.querySelector("#opened pre").textContent`, &text)
	ev := must(verify.ReadEvidence(must(os.ReadFile(in("hostile.caio")))(t)))(t)
	var indented bytes.Buffer
	if err := json.Indent(&indented, ev.Document, "", "  "); err != nil || text != indented.String() {
		t.Errorf("the document is shown as %s: %v", text, err)
	}
	b.choose("trust", in("bad.json"))
	status("Nothing was checked. trust file: ")
	b.eval(`(() => { const area = document.getElementById("trust-text"); area.closest("details").open = true; area.focus(); })()`, nil)
	b.call("Input.insertText", map[string]any{"text": string(trust(t, honest))}, nil)
	b.eval(`document.getElementById("trust-text").blur()`, nil)
	status("Checked hostile.caio.")
	large := in("large.caio")
	if err := errors.Join(os.WriteFile(large, nil, 0o600), os.Truncate(large, verify.MaxEvidenceBytes+1)); err != nil {
		t.Fatal(err)
	}
	b.drop(large)
	status("Nothing was checked. large.caio has 67108865 bytes, and evidence at most 67108864.")
	if len(b.complaints) > 0 {
		t.Errorf("the browser complains: %q", b.complaints)
	}
	for what, attempt := range map[string]string{
		"connections": `fetch("data:,x").then(() => "went through", () => "refused")`,
		"markup":      `(() => { try { document.body.innerHTML = "x"; return "went through"; } catch { return "refused"; } })()`,
		"evaluation":  `(() => { try { return new Function("return 'went through'")(); } catch { return "refused"; } })()`,
	} {
		var answer string
		if b.eval(attempt, &answer); answer != "refused" {
			t.Errorf("the page's policy lets %s through", what)
		}
	}
}
