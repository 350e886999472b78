package rego

import (
	"cmp"
	"slices"

	"github.com/smarthausgroup/caio/contracts"
)

// Explanation says what one kind of finding is about. Codes are stable; docs/checks has a page on each.
type Explanation struct {
	Code     string             `json:"code"`
	Severity contracts.Severity `json:"severity"` // the gravest that it is reported with
	Title    string             `json:"title"`    // what is wrong, in one line
	Why      string             `json:"why"`      // what it would lead to
	Remedy   string             `json:"remedy"`   // what to do
}

// Explain returns what is known of a code, not ok if no finding has it.
func Explain(code string) (e Explanation, ok bool) {
	list := Explanations()
	i, ok := slices.BinarySearchFunc(list, code, func(e Explanation, code string) int { return cmp.Compare(e.Code, code) })
	if !ok {
		return Explanation{}, false
	}
	return list[i], true
}

// Explanations are those of every code that [ReadFS], [ReadTarball], [Compile] and [Check] report, in order of code.
func Explanations() []Explanation {
	var list []Explanation
	for severity, group := range map[contracts.Severity][][]Explanation{
		contracts.SeverityError:   {bundleErrors, constraintErrors, referenceErrors, languageErrors},
		contracts.SeverityWarning: {warnings},
	} {
		for _, e := range slices.Concat(group...) {
			e.Severity = severity
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b Explanation) int { return cmp.Compare(a.Code, b.Code) })
	return list
}

// codes are those of every finding.
func codes() []string {
	var names []string
	for _, e := range Explanations() {
		names = append(names, e.Code)
	}
	return names
}
