package rego

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// directive is a place in the text of sprintf, as Go's package fmt reads it: flags, width, precision and verb, which a text that breaks off lacks.
var directive = regexp.MustCompile(`(?s)%[-+# 0]*[0-9]*(?:\.[0-9]*)?(.)?`)

// places counts the values that a text of sprintf takes. It is not ok where the text names them by number, or takes widths from them.
func places(text string) (n int, ok bool) {
	for _, found := range directive.FindAllStringSubmatch(text, -1) {
		switch verb := found[1]; {
		case verb == "*", verb == "[":
			return 0, false
		case verb == "" && strings.HasSuffix(found[0], "."): // at the end of the text the point is the verb
			n++
		case verb != "" && verb != "%":
			n++
		}
	}
	return n, true
}

// checkSprintf reports a text that has places for more values than it is given, or for fewer.
func (k *checker) checkSprintf(name string, operands []*ast.Term) {
	if name != "sprintf" || len(operands) < 2 {
		return
	}
	texts, lists := k.follow(operands[0]), k.follow(operands[1])
	if !texts.complete || !lists.complete || len(texts.values) != 1 || len(lists.values) != 1 || texts.values[0].term == nil || lists.values[0].term == nil {
		return
	}
	text, list := key(texts.values[0].term), lists.values[0].term.Value
	given, isList := list.(*ast.Array)
	if text == nil || !isList {
		return
	}
	if n, ok := places(*text); ok && n != given.Len() {
		k.untidy("sprintf-arguments", operands[0].Location, fmt.Sprintf("the text has places for %d, and the list holds %d", n, given.Len()), "Give a value for each place; a percent sign is written %%.")
	}
}
