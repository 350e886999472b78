package rego

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// readsClock is the prefix of the built-ins that OPA does not mark as non-deterministic although they compare with the current time.
const readsClock = "crypto.x509.parse_and_verify_certificates"

// capabilities are the built-ins and features that policies may use: those whose result depends on their arguments alone, and no network (spec/policy.md).
var capabilities = sync.OnceValue(func() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool {
		return b.IsNondeterministic() || strings.HasPrefix(b.Name, readsClock)
	})
	c.AllowNet = []string{} // nil would be every host
	return c
})

// CapabilitiesDigest is the SHA-256, in hex, of OPA's JSON form of the capabilities that policies are compiled with.
func CapabilitiesDigest() string { return capabilitiesDigest() }

var capabilitiesDigest = sync.OnceValue(func() string {
	text, err := json.Marshal(capabilities())
	if err != nil {
		panic("rego: OPA's capabilities have no JSON form: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
})
