package contracts

// Principal is who asks. Subject is content: no rule sees it, and in a proof it stands as a commitment.
type Principal struct {
	Tenant      string
	Subject     string
	Roles       []string // sorted
	Permissions []string // sorted
	Trust       Decimal  // 0 to 10
	Method      string   // how it was authenticated: "jwt", "api_key", "scenario"
	Issuer      string
}

// View is what rules see of the principal: all but the subject. Values are as in [Request.View].
func (p Principal) View() map[string]any {
	return map[string]any{
		"tenant":      p.Tenant,
		"roles":       texts(p.Roles),
		"permissions": texts(p.Permissions),
		"trust":       p.Trust,
		"method":      p.Method,
		"issuer":      p.Issuer,
	}
}

// Attestation is what people of the installation, not the owner, have recorded of a contract, by its digest.
type Attestation string

// The attestations; a contract without one is [SelfAttested].
const (
	SelfAttested Attestation = "self"
	Audited      Attestation = "audited"
	Verified     Attestation = "verified"
)

// History is the row of (tenant, intent type, service) that scoring reads: of the latest 500 attempts that are not older than 30 days, N in number, OK succeeded and met every guarantee required;
// P95 is the 95th percentile of the latency of those, in whole ms, at least 1, or 0 without any (spec/calculus.md, section 4, RL). The zero value is no history.
type History struct {
	N   int64 `json:"n"`
	OK  int64 `json:"ok"`
	P95 int64 `json:"p95"`
}
