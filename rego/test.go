package rego

import (
	"context"
	"time"

	"github.com/smarthausgroup/caio/contracts"
)

// TestOptions say which tests to run and with what.
type TestOptions struct {
	Options
	Run      string // regular expression over data.package.test_name; "" runs all
	Coverage bool
	Timeout  time.Duration // of one test; 0 is 5 s
	Trace    bool          // of failed tests, into TestResult.Trace
}

// Report is the outcome of a test run.
type Report struct {
	Results                 []TestResult  `json:"results"`
	Pass, Fail, Skip, Error int           `json:"-"`
	Duration                time.Duration `json:"duration"`
	Coverage                *float64      `json:"coverage,omitempty"` // percent of the lines of policies, tests left out
	Uncovered               []contracts.Position
}

// TestResult is the outcome of one test rule.
type TestResult struct {
	Package  string             `json:"package"`
	Name     string             `json:"name"`
	Pos      contracts.Position `json:"location"`
	Status   string             `json:"status"` // pass | fail | skip | error
	Detail   string             `json:"detail,omitempty"`
	Output   string             `json:"output,omitempty"` // of print
	Trace    string             `json:"trace,omitempty"`
	Duration time.Duration      `json:"duration"`
}

// Test runs the `test_` rules of the bundles. The error is of the compilation (as [contracts.Diagnostics]), of the options, or the context's.
func Test(ctx context.Context, bundles []*Bundle, o TestOptions) (Report, error) {
	return Report{}, nil
}
