package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/catalog"
	"github.com/smarthausgroup/caio/verify"
)

// demoServices are the services of the catalogue that take part, with what ACME's data protection officer has said of each.
var demoServices = []struct {
	id    string
	level contracts.Attestation
}{
	{"openai-embeddings", contracts.Verified}, {"openai-embeddings-eu", contracts.Audited}, {"cohere-embeddings", contracts.Audited},
	{"voyage-embeddings", contracts.SelfAttested}, {"mistral-embeddings", contracts.Verified}, {"tei-embeddings", contracts.SelfAttested},
	{"ollama-embeddings", contracts.SelfAttested}, {"on-device-embeddings", contracts.SelfAttested},
	{"tavily-search", contracts.SelfAttested}, {"serper-search", contracts.SelfAttested}, {"searxng-search", contracts.SelfAttested},
}

// demoRequests are sent before and after the change of the policy.
var demoRequests = []struct{ title, json string }{
	{"product pages", `{"intent": {"type": "embeddings", "text": "product pages in many languages for retrieval"}, "requirements": {"capability_parameters": {"embeddings": {"dimensions": 1024}}}, "data": {"labels": ["none"]}, "estimate": {"input_tokens": 4000}, "seed": 0}`},
	{"who is this customer?", `{"intent": {"type": "search", "text": "what is known of this customer"}, "data": {"labels": ["pii"]}, "seed": 0}`},
	{"support tickets", `{"intent": {"type": "embeddings", "text": "support tickets in many languages for retrieval"}, "requirements": {"capability_parameters": {"embeddings": {"dimensions": 1024}}}, "data": {"labels": ["pii"]}, "purpose": "support", "estimate": {"input_tokens": 4000}, "seed": 0}`},
}

const demoLine = `kept_in_house contains "pii"`

// proved is a decision with its proof.
type proved struct {
	evidence *verify.Evidence
	document *verify.Document
}

// tell is the story from beginning to end.
func (d *demonstration) tell(ctx context.Context) error {
	d.printf("\n%s\n%s\n", d.bold.Render("CAIO decides which AI service may handle a request, and proves that the decision was right."),
		d.faint.Render("A real server, a real store, everybody's policies; a fixed seed, key and time, so that you see what everybody sees."))
	if err := d.join(ctx); err != nil {
		return err
	}
	d.chapter("Requests are routed, and refused")
	d.legend()
	d.printf("\n")
	before, err := d.decideAll(ctx, true)
	if err != nil {
		return err
	}
	after, err := d.change(ctx, before)
	if err != nil {
		return err
	}
	if err := d.audit(ctx, before, after); err != nil {
		return err
	}
	return d.end()
}

func (d *demonstration) chapter(title string) {
	d.printf("\n%s\n\n", d.title.Render("── "+title+" "+strings.Repeat("─", max(0, min(90, d.line()-4)-len(title)))))
}

func (d *demonstration) command(format string, args ...any) {
	d.printf("  %s %s %s\n", d.faint.Render("$"), program(), fmt.Sprintf(format, args...))
}

// program is how this program was called, so that its commands can be copied.
func program() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/caio"
	}
	return os.Args[0]
}

// join registers the services.
func (d *demonstration) join(ctx context.Context) error {
	acme, err := acmeWith("")
	if err != nil {
		return err
	}
	if err := d.start(ctx, acme); err != nil {
		return err
	}
	d.chapter("Services join with a contract")
	rows := [][]string{}
	for _, s := range demoServices {
		text, err := catalog.FS.ReadFile(s.id + ".yaml")
		if err != nil {
			return err
		}
		if err := d.register(ctx, s.id, text); err != nil {
			return err
		}
		contract, faults := contracts.ParseContract(s.id+".yaml", text)
		if faults.HasErrors() {
			return faults
		}
		if s.level != contracts.SelfAttested {
			if err := d.attest(ctx, contract, s.level); err != nil {
				return err
			}
		}
		rows = append(rows, []string{s.id, string(contract.Placement), strings.Join(contract.Privacy.Regions, " "), string(s.level), price(contract)})
	}
	d.table([]string{"SERVICE", "ROUTE", "REGIONS", "ATTESTED", "PRICE"}, rows)
	return d.quotePredicates("mistral-embeddings")
}

func price(c *contracts.Contract) string {
	switch {
	case c.Cost.PerMillionInputTokens > 0:
		return "$" + c.Cost.PerMillionInputTokens.String() + " / 1M tokens"
	case c.Cost.PerCall > 0:
		return "$" + c.Cost.PerCall.String() + " / call"
	}
	return "free"
}

// quotePredicates shows what a contract compiled into.
func (d *demonstration) quotePredicates(id string) error {
	text, err := catalog.FS.ReadFile(id + ".yaml")
	if err != nil {
		return err
	}
	_, program, faults := cel.Read(id+".yaml", text)
	if faults.HasErrors() {
		return faults
	}
	predicates := program.Predicates()
	d.printf("\n  Each contract compiles into CEL predicates; %s into %d, two of them:\n", id, len(predicates))
	for _, p := range predicates {
		if p.ID == "bounds.cost" || p.ID == "guarantee.latency" {
			d.printf("    %s  %s\n", d.bold.Render(fmt.Sprintf("%-17s", p.ID)), d.faint.Render(strings.Join(strings.Fields(p.Expr), " ")))
		}
	}
	return nil
}

// decideAll sends the requests.
func (d *demonstration) decideAll(ctx context.Context, show bool) ([]proved, error) {
	var all []proved
	for i, r := range demoRequests {
		evidence, document, err := d.decide(ctx, r.json)
		if err != nil {
			return nil, err
		}
		all = append(all, proved{evidence, document})
		if show {
			d.request(i, document)
			d.decision(&document.Decision, whyFromEvidence(evidence, document))
			if i < len(demoRequests)-1 {
				d.printf("\n")
			}
		}
	}
	return all, nil
}

func (d *demonstration) request(i int, document *verify.Document) {
	r := document.Request
	d.printf("  %s  %s\n", d.bold.Render(fmt.Sprintf("%d. %s", i+1, demoRequests[i].title)), d.faint.Render(fmt.Sprintf("%s, data: %s", r.Intent.Type, strings.Join(r.Data.Labels, " "))))
}

// change adds the line, says what it would have changed, and decides again.
func (d *demonstration) change(ctx context.Context, before []proved) ([]proved, error) {
	d.chapter("The compliance team adds one line of Rego")
	d.printf("    %s\n  %s\n\n", d.faint.Render(`kept_in_house contains "secret"`), d.good.Render("+ "+demoLine))
	acme, err := acmeWith(demoLine)
	if err != nil {
		return nil, err
	}
	said, err := d.try(ctx, acme, before)
	if err != nil {
		return nil, err
	}
	if err := d.start(ctx, acme); err != nil {
		return nil, err
	}
	after, err := d.decideAll(ctx, false)
	if err != nil {
		return nil, err
	}
	if err := cameTrue(said, after); err != nil {
		return nil, err
	}
	last := len(after) - 1
	d.printf("\n  The line is put in force, and the requests are sent again. It comes true:\n\n")
	d.request(last, after[last].document)
	d.decision(&after[last].document.Decision, whyFromEvidence(after[last].evidence, after[last].document))
	return after, nil
}

func outcome(document *verify.Document) string {
	if document.Outcome == verify.Denied {
		return "denied at " + string(document.Choice.Nearest[0].Stage)
	}
	return document.Choice.Service
}

// audit leaves the evidence and verifies it, the forged ones too.
func (d *demonstration) audit(ctx context.Context, before, after []proved) error {
	trust, err := d.trust(ctx)
	if err != nil {
		return err
	}
	if _, _, err := d.leave("denied.caio", before[1].evidence); err != nil {
		return err
	}
	if _, _, err := d.leave("routed-before.caio", before[2].evidence); err != nil {
		return err
	}
	d.chapter("An auditor checks the proof, offline")
	if err := d.verify(ctx, "routed.caio", after[2].evidence, trust, true); err != nil {
		return err
	}
	d.chapter("Somebody forges it")
	d.printf("  %s: the winner is replaced by mistral-embeddings in the file\n", d.bold.Render("A stranger"))
	forged, err := forgeByStranger(after[2].evidence)
	if err != nil {
		return err
	}
	if err := d.verify(ctx, "forged-by-stranger.caio", forged, trust, false); err != nil {
		return err
	}
	d.printf("\n  %s: the operator, who has the signing key, lets mistral-embeddings survive and win, and signs that\n", d.bold.Render("An insider"))
	if forged, err = forgeByInsider(after[2], before[2], d.signer); err != nil {
		return err
	}
	return d.verify(ctx, "forged-by-insider.caio", forged, trust, false)
}

// verify leaves a file and shows what every layer says of it.
func (d *demonstration) verify(ctx context.Context, name string, evidence *verify.Evidence, trust verify.Trust, genuine bool) error {
	file, data, err := d.leave(name, evidence)
	if err != nil {
		return err
	}
	d.command("verify %s --trust %s/trust.json", file, d.dir)
	c, err := check(ctx, data, trust, nil, replayTimeout, verify.Options{})
	if err != nil {
		return err
	}
	if !genuine {
		return d.caught(c)
	}
	d.verdicts(c.Verdicts)
	if verify.ExitCode(c.Verdicts) == exitNo {
		return fmt.Errorf("the proof of %s does not verify", name)
	}
	d.printf("\n")
	d.sentences(c.Sentences, d.plain)
	d.printf("\n  %s\n", d.bold.Render("What this does not show"))
	d.sentences(c.NotShown, d.faint)
	return nil
}

// caught shows the layers that were checked, and which of them noticed.
func (d *demonstration) caught(c verify.Report) error {
	var shown []verify.Verdict
	var by []string
	for _, v := range c.Verdicts {
		if v.Layer == verify.LayerDocument {
			v.Want, v.Got = "", "" // digests, which differ from build to build
		}
		if v.Status != verify.Skipped {
			shown = append(shown, v)
		}
		if v.Status == verify.Fail {
			by = append(by, v.Layer)
		}
	}
	d.verdicts(shown)
	if len(by) == 0 {
		return errors.New("the forged proof was not caught")
	}
	d.printf("  %s by %s\n", d.good.Bold(true).Render("CAUGHT"), strings.Join(by, ", "))
	return nil
}

// end says what is left to look at, and the digest of it all.
func (d *demonstration) end() error {
	digest, err := d.digest()
	if err != nil {
		return err
	}
	d.chapter("Your turn")
	d.command("verify %s/denied.caio --trust %s/trust.json", d.dir, d.dir)
	d.command("proof show %s/routed.caio", d.dir)
	d.printf("  %s tar -tzf %s/routed.caio\n", d.faint.Render("$"), d.dir)
	d.command("serve")
	d.printf("\n  %d decisions, digest %s\n", len(d.documents), d.bold.Render(digest))
	d.printf("  %s\n\n", d.faint.Render("The README states it. If yours differs, we are wrong."))
	return nil
}

// digest is over every document but for what made it, `engine`, which differs from build to build.
func (d *demonstration) digest() (string, error) {
	sum := sha256.New()
	for _, document := range d.documents {
		without := *document
		without.Engine = verify.Build{}
		text, err := without.Canonical()
		if err != nil {
			return "", err
		}
		sum.Write(text)
		sum.Write([]byte("\n"))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
