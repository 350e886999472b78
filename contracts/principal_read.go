package contracts

import "github.com/smarthausgroup/caio/contracts/source"

// maxPrincipalBytes bounds the text of a principal.
const maxPrincipalBytes = 64 << 10

// ParsePrincipal reads {tenant, subject, roles, permissions, trust, method, issuer} from JSON or YAML, for offline decisions and scenarios; a server makes a principal of a token. Only `tenant` is required; `method` is "scenario" by default, `trust` 0.
func ParsePrincipal(file string, text []byte) (Principal, Diagnostics) {
	root, faults := source.Read(file, text, maxPrincipalBytes)
	if root == nil {
		return Principal{}, faults
	}
	return readPrincipal(root, faults)
}

// PrincipalNode is [ParsePrincipal] for a principal that stands inside another document.
func PrincipalNode(root *source.Node) (Principal, Diagnostics) { return readPrincipal(root, nil) }

func readPrincipal(root *source.Node, faults Diagnostics) (Principal, Diagnostics) {
	var form struct {
		Tenant      string   `json:"tenant" jsonschema:"required"`
		Subject     string   `json:"subject"`
		Roles       []string `json:"roles"`
		Permissions []string `json:"permissions"`
		Trust       Decimal  `json:"trust"`
		Method      string   `json:"method"`
		Issuer      string   `json:"issuer"`
	}
	form.Method = "scenario"
	check := checker{root: root, faults: faults}
	source.Decode(root, &form, &check.faults)
	check.name("/tenant", form.Tenant)
	check.names("/roles", form.Roles)
	check.names("/permissions", form.Permissions)
	check.atMost("/trust", form.Trust, maxTrust)
	if check.faults.Sort(); check.faults.HasErrors() {
		return Principal{}, check.faults
	}
	return Principal{
		Tenant: form.Tenant, Subject: form.Subject, Roles: set(form.Roles), Permissions: set(form.Permissions),
		Trust: form.Trust, Method: form.Method, Issuer: form.Issuer,
	}, check.faults
}
