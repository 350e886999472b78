package source

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// ReadYAML is [Read] of one YAML document, in the part of YAML that says the same as JSON: no anchors, aliases, merge keys, tags, directives or explicit keys, and no plain scalar that YAML's versions disagree about.
// A plain scalar is a number exactly if JSON would read it as one.
func ReadYAML(file string, text []byte, limit int) (*Node, Diagnostics) {
	doc, faults := admit(file, text, limit)
	if doc == nil {
		return nil, faults
	}
	y := yamlReader{doc: doc, lines: lineStarts(doc.text)}
	doc.root = y.read()
	doc.report(&faults, y.findings)
	return doc.root, faults
}

type yamlReader struct {
	doc      *document
	lines    []int // the offset at which each line starts
	findings []finding
}

func lineStarts(text string) []int {
	starts := []int{0}
	for i := range len(text) {
		if text[i] == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

func (y *yamlReader) refuse(at int, code, format string, args ...any) {
	y.findings = append(y.findings, finding{at, code, fmt.Sprintf(format, args...)})
}

// read returns nil if there is no tree. The tokens are checked before the parser sees them, since it recurses, and follows aliases.
func (y *yamlReader) read() *Node {
	for i := range len(y.doc.text) {
		c := y.doc.text[i]
		if c < ' ' && c != '\t' && c != '\n' && (c != '\r' || !strings.HasPrefix(y.doc.text[i+1:], "\n")) {
			y.refuse(i, "syntax", "the control character 0x%02x can't stand in YAML", c)
			return nil
		}
	}
	tokens := lexer.Tokenize(y.doc.text)
	if y.check(tokens); len(y.findings) > 0 {
		return nil
	}
	file, err := parse(tokens)
	if err != nil {
		at, text := 0, err.Error()
		var positioned interface {
			GetToken() *token.Token
			GetMessage() string
		}
		if errors.As(err, &positioned) {
			text = positioned.GetMessage()
			if tk := positioned.GetToken(); tk != nil {
				at = y.offset(tk)
			}
		}
		y.refuse(at, "syntax", "not YAML: %s", text)
		return nil
	}
	var body ast.Node
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if _, comment := d.Body.(*ast.CommentGroupNode); comment {
			continue
		}
		if body != nil {
			y.refuse(y.offset(d.Body.GetToken()), "multiple-documents", "a second document starts here, and only one is read")
			return nil
		}
		body = d.Body
	}
	if body == nil {
		y.refuse(0, "empty", "the text is empty")
		return nil
	}
	root := new(Node)
	y.convert(root, body, 0)
	root.keyAt = root.at
	return root
}

// parse makes an error of a panic: the parser has had some on odd input, and a text from outside must not end the process.
func parse(tokens token.Tokens) (file *ast.File, err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			err = fmt.Errorf("it can't be parsed: %v", recovered)
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// offset of the first byte of a token. The lexer counts columns in characters.
func (y *yamlReader) offset(tk *token.Token) int {
	line := min(max(tk.Position.Line-1, 0), len(y.lines)-1)
	at := y.lines[line]
	for column := 1; column < tk.Position.Column && at < len(y.doc.text) && y.doc.text[at] != '\n'; column++ {
		at += len(string([]rune(y.doc.text[at:min(at+4, len(y.doc.text))])[:1]))
	}
	return at
}

var refusedTokens = map[token.Type]string{
	token.AnchorType:     "an anchor: write the value where it is needed",
	token.AliasType:      "an alias: write the value where it is needed",
	token.TagType:        "a tag: quote what is text, and leave tags out",
	token.MergeKeyType:   "a merge key: write the keys where they are needed",
	token.MappingKeyType: "an explicit key: write key: value",
	token.DirectiveType:  "a directive: leave it out",
}

// check refuses tokens that have no place here, and nesting that is too deep.
func (y *yamlReader) check(tokens token.Tokens) {
	depth := yamlDepth{}
	for i, tk := range tokens {
		if what, refused := refusedTokens[tk.Type]; refused {
			y.refuse(y.offset(tk), "yaml-feature", "this YAML is not read: %s", what)
		}
		if tk.Type == token.InvalidType {
			y.refuse(y.offset(tk), "syntax", "not YAML: %s", tk.Error)
		}
		if tk.Type == token.DocumentHeaderType && i > 0 && tokens[i-1].Type != token.CommentType && tokens[i-1].Type != token.DirectiveType {
			y.refuse(y.offset(tk), "multiple-documents", "a second document starts here, and only one is read")
		}
		if depth.token(tk) > MaxDepth {
			y.refuse(y.offset(tk), "too-deep", "lists and maps nest deeper than %d", MaxDepth)
		}
		if len(y.findings) > MaxFaults || depth.now > MaxDepth {
			return
		}
	}
}

// yamlDepth follows how deep lists and maps nest from the columns and brackets of tokens alone.
type yamlDepth struct {
	blocks []yamlBlock
	flow   int
	now    int
}

type yamlBlock struct {
	column int
	list   bool
}

func (d *yamlDepth) token(tk *token.Token) int {
	switch tk.Type {
	case token.SequenceStartType, token.MappingStartType:
		d.flow++
	case token.SequenceEndType, token.MappingEndType:
		d.flow--
	case token.SequenceEntryType:
		d.open(yamlBlock{tk.Position.Column, true})
	case token.MappingValueType:
		if tk.Prev != nil {
			d.open(yamlBlock{tk.Prev.Position.Column, false})
		}
	}
	d.now = len(d.blocks) + max(d.flow, 0)
	return d.now
}

func (d *yamlDepth) open(b yamlBlock) {
	if d.flow > 0 {
		return
	}
	// A list may stand in the column of the key that it belongs to, and ends with the next key there.
	for i := len(d.blocks) - 1; i >= 0 && (d.blocks[i].column > b.column || d.blocks[i].column == b.column && d.blocks[i].list && !b.list); i-- {
		d.blocks = d.blocks[:i]
	}
	if !slices.Contains(d.blocks, b) {
		d.blocks = append(d.blocks, b)
	}
}

// convert fills in a node from the parser's.
func (y *yamlReader) convert(n *Node, from ast.Node, depth int) {
	n.doc = y.doc
	n.at = int32(y.offset(from.GetToken()))
	n.textAt = n.at
	switch from := from.(type) {
	case *ast.MappingNode:
		y.members(n, from.Values, depth+1)
		if !from.IsFlowStyle && len(n.Children) > 0 {
			n.at = n.Children[0].keyAt
		}
	case *ast.MappingValueNode:
		y.members(n, []*ast.MappingValueNode{from}, depth+1)
		n.at = n.Children[0].keyAt
	case *ast.SequenceNode:
		n.Kind = List
		n.Children = make([]Node, len(from.Values))
		for i, value := range from.Values {
			y.convert(&n.Children[i], value, depth+1)
			n.Children[i].keyAt = n.Children[i].at
		}
	case *ast.LiteralNode:
		n.Kind, n.Text = Text, from.Value.Value
		n.textAt = int32(y.block(int(n.at)))
	case ast.ScalarNode:
		y.scalar(n, from)
	default:
		n.broken = true
		y.refuse(int(n.at), "yaml-feature", "this YAML is not read: %s", from.Type())
	}
	if depth >= MaxDepth && (n.Kind == List || n.Kind == Map) {
		y.refuse(int(n.at), "too-deep", "lists and maps nest deeper than %d", MaxDepth)
	}
}

func (y *yamlReader) members(n *Node, values []*ast.MappingValueNode, depth int) {
	n.Kind = Map
	n.Children = make([]Node, len(values))
	for i, value := range values {
		key := value.Key.GetToken()
		at := y.offset(key)
		switch key.Type {
		case token.StringType, token.SingleQuoteType, token.DoubleQuoteType:
		default:
			y.refuse(at, "key-not-text", "a key is text: put %s in quotes", key.Value)
		}
		y.convert(&n.Children[i], value.Value, depth)
		n.Children[i].Key, n.Children[i].keyAt = key.Value, int32(at)
	}
	y.findings = repeated(y.findings, n)
}

// block is where the characters of a block scalar start: at the first that is not a space in the first line below its header that has one.
func (y *yamlReader) block(header int) int {
	body := strings.IndexByte(y.doc.text[header:], '\n')
	if body < 0 {
		return header
	}
	rest := y.doc.text[header+body:]
	return header + body + len(rest) - len(strings.TrimLeft(rest, " \r\n"))
}

// numberLike is a plain scalar that some version of YAML reads as a number.
var numberLike = regexp.MustCompile(`^[-+]?(0[xXoObB][0-9a-fA-F_]+|\.?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9_]+)?|\.(inf|Inf|INF))$|^\.(nan|NaN|NAN)$`)

// truthLike are plain scalars that some version of YAML reads as true or false.
var truthLike = strings.Fields("y Y yes Yes YES n N no No NO on On ON off Off OFF True TRUE False FALSE")

func (y *yamlReader) scalar(n *Node, from ast.ScalarNode) {
	tk := from.GetToken()
	if tk.Type == token.SingleQuoteType || tk.Type == token.DoubleQuoteType {
		n.Kind, n.Text, n.textAt = Text, tk.Value, n.at+1
		return
	}
	plain := tk.Value
	switch {
	case from.Type() == ast.NullType || plain == "":
		n.Kind = Null
	case plain == "true" || plain == "false":
		n.Kind, n.Text = Bool, plain
	case IsNumber(plain):
		n.Kind, n.Text = Number, plain
	case numberLike.MatchString(plain):
		n.broken = true
		y.refuse(int(n.at), "number-form", "%s is not a number as JSON writes it: write digits with a point, or put it in quotes if it is text", plain)
	case slices.Contains(truthLike, plain):
		n.broken = true
		y.refuse(int(n.at), "truth-form", "%s is true or false in some versions of YAML and text in others: write true or false, or put it in quotes", plain)
	default:
		n.Kind, n.Text = Text, plain
	}
}
