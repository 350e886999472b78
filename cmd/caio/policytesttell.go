package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/spf13/cobra"
)

// reportForms are the forms of the file that a report is written to, by how its name ends.
var reportForms = map[string]string{".xml": "junit", ".json": "json", ".yaml": "yaml", ".yml": "yaml"}

// tell shows a report in the form that was asked for, and writes it to a file as well if there is to be one.
func (t *policyTest) tell(o *options, cmd *cobra.Command, report *rego.Report) error {
	if t.output != "" {
		text, err := reportAs(reportForms[filepath.Ext(t.output)], report)
		if err == nil {
			err = replaceFile(t.output, text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	if o.format == "pretty" {
		t.pretty(o.present(cmd), report, o.quiet)
		return nil
	}
	text, err := reportAs(o.format, report)
	if err == nil {
		_, err = cmd.OutOrStdout().Write(text)
	}
	return err
}

func reportAs(form string, report *rego.Report) ([]byte, error) {
	var text bytes.Buffer
	switch form {
	case "junit":
		err := writeJUnit(&text, report)
		return text.Bytes(), err
	case "gobench":
		for _, r := range report.Results {
			if r.Bench != nil {
				fmt.Fprintln(&text, goBench(r))
			}
		}
		return text.Bytes(), nil
	}
	return encode(form, report)
}

// qualified is a test's name with its package, which a scenario does not have.
func qualified(r rego.TestResult) string { return strings.TrimPrefix(r.Package+"."+r.Name, ".") }

func (t *policyTest) pretty(p *presenter, report *rego.Report, quiet bool) {
	for _, r := range report.Results {
		if r.Bench != nil {
			p.printf("%s\t%8d\t%12.0f ns/op\t%8d B/op\t%8d allocs/op\n", qualified(r), r.Bench.N, r.Bench.Time, r.Bench.Bytes, r.Bench.Allocs)
		}
		if t.verbose || r.Status != rego.TestPass && (r.Status != rego.TestSkip || !quiet) {
			t.result(p, r)
		}
	}
	if len(report.Results) == 0 {
		return
	}
	p.printf("%s\n", strings.Repeat("-", 80))
	for _, count := range []struct {
		name string
		n    int
	}{{"PASS", report.Pass}, {"FAIL", report.Fail}, {"SKIPPED", report.Skip}, {"ERROR", report.Error}} {
		if count.n > 0 || count.name == "PASS" {
			p.printf("%s: %d/%d\n", count.name, count.n, report.Total())
		}
	}
	if report.Coverage != nil {
		p.printf("COVERAGE: %.1f%%\n", *report.Coverage)
		for _, lines := range uncovered(report.Uncovered) {
			p.printf("  not covered: %s\n", lines)
		}
	}
}

// uncovered lists the lines that were not evaluated, a text for each file: house.rego:11,13-15.
func uncovered(positions []contracts.Position) (list []string) {
	var file string
	var from, to int
	flush := func() {
		switch from {
		case 0:
		case to:
			list[len(list)-1] += fmt.Sprintf("%d", from)
		default:
			list[len(list)-1] += fmt.Sprintf("%d-%d", from, to)
		}
	}
	for _, pos := range positions {
		switch {
		case pos.File != file:
			flush()
			file, from = pos.File, pos.Line
			list = append(list, file+":")
		case pos.Line > to+1:
			flush()
			list[len(list)-1] += ","
			from = pos.Line
		}
		to = pos.Line
	}
	flush()
	return list
}

// result shows one test: where it is, how it came out and, if it was not as it should be, why.
func (t *policyTest) result(p *presenter, r rego.TestResult) {
	p.printf("%s: %s %s\n", r.Pos, qualified(r), p.outcome(r.Status))
	if t.verbose {
		for _, c := range r.Cases {
			p.printf("  %s %s\n", shown(strings.Join(c.Name, " / ")), p.outcome(c.Status))
		}
	}
	for _, text := range []string{r.Detail, r.Output, r.Trace} {
		if text != "" {
			for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
				p.printf("  %s\n", shown(line))
			}
		}
	}
}

// shown is a line of what a test prints or is called, which others wrote: no control character of it reaches a terminal, and it is no command to a runner of CI, which begins with ::.
func shown(line string) string {
	var text strings.Builder
	for _, r := range line {
		if unicode.IsControl(r) && r != '\t' {
			text.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
			continue
		}
		text.WriteRune(r)
	}
	if strings.HasPrefix(strings.TrimSpace(text.String()), "::") {
		return strings.Replace(text.String(), "::", `\::`, 1)
	}
	return text.String()
}

func (p *presenter) outcome(status string) string {
	switch status {
	case rego.TestPass:
		return p.good.Render("PASS")
	case rego.TestSkip:
		return p.faint.Render("SKIP")
	}
	return p.bad.Render(strings.ToUpper(status))
}

// goBench is a line of the Go benchmark data format: data.policy.gdpr.test_eu is BenchmarkDataPolicyGdprTestEu.
func goBench(r rego.TestResult) string {
	var name strings.Builder
	for _, word := range strings.FieldsFunc(qualified(r), func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return fmt.Sprintf("Benchmark%s\t%8d\t%12.1f ns/op\t%8d B/op\t%8d allocs/op", name.String(), r.Bench.N, r.Bench.Time, r.Bench.Bytes, r.Bench.Allocs)
}

// The elements of JUnit's XML that viewers of CI systems read: a suite for each package, with the cases of a test as tests.
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		junitCounts
		Suites []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name string `xml:"name,attr"`
		junitCounts
		Cases []junitCase `xml:"testcase"`
	}
	junitCounts struct {
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Time     string `xml:"time,attr"` // seconds

		duration time.Duration
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		File    string        `xml:"file,attr,omitempty"`
		Line    int           `xml:"line,attr,omitempty"`
		Time    string        `xml:"time,attr"`
		Failure *junitProblem `xml:"failure"`
		Error   *junitProblem `xml:"error"`
		Skipped *struct{}     `xml:"skipped"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

func (c *junitCounts) count(status string, d time.Duration) {
	c.Tests++
	switch status {
	case rego.TestFail:
		c.Failures++
	case rego.TestError:
		c.Errors++
	case rego.TestSkip:
		c.Skipped++
	}
	c.duration += d
	c.Time = seconds(c.duration)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }

// writeJUnit writes a report as JUnit's XML.
func writeJUnit(w io.Writer, report *rego.Report) error {
	all := junitSuites{junitCounts: junitCounts{Time: seconds(0)}}
	index := map[string]int{}
	for _, r := range report.Results {
		suite := r.Package
		if suite == "" {
			suite = "scenarios"
		}
		i, ok := index[suite]
		if !ok {
			i = len(all.Suites)
			index[suite] = i
			all.Suites = append(all.Suites, junitSuite{Name: suite})
		}
		for n, c := range junitCases(suite, r) {
			var took time.Duration
			if n == 0 {
				took = r.Duration
			}
			all.count(c.status, took)
			all.Suites[i].count(c.status, took)
			c.Time = seconds(took)
			all.Suites[i].Cases = append(all.Suites[i].Cases, c.junitCase)
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

type junitOutcome struct {
	junitCase
	status string
}

// junitCases are those of one result: as many as it counts for. The first carries the time of all, and what was printed.
func junitCases(suite string, r rego.TestResult) []junitOutcome {
	base := junitCase{Class: suite, Name: r.Name, File: r.Pos.File, Line: r.Pos.Line}
	if len(r.Cases) == 0 || r.Status == rego.TestError {
		only := junitOutcome{base, r.Status}
		only.Output = r.Output
		switch r.Status {
		case rego.TestFail:
			only.Failure = problem(r.Status, r.Detail, r.Trace)
		case rego.TestError:
			only.Error = problem(r.Status, r.Detail, "")
		case rego.TestSkip:
			only.Skipped = &struct{}{}
		}
		return []junitOutcome{only}
	}
	var list []junitOutcome
	for i, c := range r.Cases {
		one := junitOutcome{base, c.Status}
		one.Name += "[" + strings.Join(c.Name, "][") + "]"
		if i == 0 {
			one.Output = r.Output
		}
		if c.Status == rego.TestFail {
			detail := r.Detail
			for _, f := range r.Failures {
				if strings.Join(f.Case, "\x00") == strings.Join(c.Name, "\x00") {
					detail = f.String()
				}
			}
			one.Failure = problem(c.Status, detail, r.Trace)
		}
		list = append(list, one)
	}
	return list
}

// problem has the first line as its message, which viewers show in lists.
func problem(kind, detail, trace string) *junitProblem {
	first, _, _ := strings.Cut(detail, "\n")
	return &junitProblem{Message: first, Type: kind, Text: strings.TrimSuffix(detail+"\n"+trace, "\n")}
}
