package server

import (
	"net/http"

	"github.com/smarthausgroup/caio/server/auth"
)

// route is one call of the API. Query, media and the rest of the operation's form are in operations.go.
type route struct {
	method, path string
	roles        []auth.Role // one of them is needed; nil: everybody may
	handler      func(*call) error
	operation
}

// routes lists every route there is, with the roles that it needs (spec/interface.md, "HTTP"). A route's operation says what it takes and gives.
func (s *Server) routes() []route {
	const (
		get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	)
	may := func(roles ...auth.Role) []auth.Role { return append(roles, auth.Operator) }
	everybody, known := []auth.Role(nil), auth.Roles()
	deciders := may(auth.App)
	readers := may(auth.App, auth.Auditor)
	auditors := may(auth.Auditor)
	authors := may(auth.Author)
	explainers := may(auth.Author, auth.Auditor)
	registry := may(auth.Author, auth.Auditor, auth.Approver)
	approvers := may(auth.Approver)
	keepers := may(auth.Auditor, auth.Approver)
	operators := may()

	return []route{
		{post, "/v1/decisions", deciders, s.postDecision, op("decide")},
		{post, "/v1/orchestrate", deciders, s.postOrchestrate, op("orchestrate")},
		{post, "/orchestrate", deciders, s.postOrchestrate, op("orchestrate")},
		{post, "/v1/decisions/batch", deciders, s.postBatch, op("batch")},
		{post, "/v1/decisions/explain", explainers, s.postExplain, op("explain")},
		{get, "/v1/decisions", readers, s.searchDecisions, op("search")},
		{get, "/v1/decisions/export", auditors, s.exportDecisions, op("export")},
		{get, "/v1/decisions/:id", readers, s.getDecision, op("decision")},
		{get, "/trace/:id", readers, s.getDecision, op("decision")},
		{get, "/v1/decisions/:id/document", auditors, s.getDocument, op("document")},
		{get, "/v1/decisions/:id/statement", readers, s.getStatement, op("statement")},
		{get, "/v1/decisions/:id/receipt", readers, s.getReceipt, op("receipt")},
		{get, "/v1/decisions/:id/evidence", auditors, s.getEvidence, op("evidence")},
		{post, "/v1/decisions/:id/outcome", deciders, s.postOutcome, op("outcome")},

		{post, "/v1/erasures", approvers, s.postErasure, op("erase")},
		{get, "/v1/erasures", keepers, s.listErasures, op("erasures")},
		{put, "/v1/holds/:id", approvers, s.putHold, op("hold")},
		{del, "/v1/holds/:id", approvers, s.deleteHold, op("release")},
		{get, "/v1/holds", keepers, s.listHolds, op("holds")},

		{put, "/v1/services/:id", authors, s.putService, op("register")},
		{post, "/register-service", authors, s.registerService, op("register-post")},
		{get, "/v1/services", registry, s.listServices, op("services")},
		{get, "/services", registry, s.listServices, op("services")},
		{get, "/v1/services/:id", registry, s.getService, op("service")},
		{del, "/v1/services/:id", authors, s.deleteService, op("remove")},
		{get, "/v1/services/:id/versions", registry, s.getVersions, op("versions")},
		{put, "/v1/services/:id/attestation", approvers, s.putAttestation, op("attest")},
		{put, "/v1/services/:id/grants", approvers, s.putGrants, op("grant")},
		{post, "/v1/contracts/validate", authors, s.validateContract, op("validate")},
		{get, "/v1/contracts/schema", known, s.getContractSchema, op("schema")},

		{get, "/v1/bundles", registry, s.getBundles, op("bundles")},
		{post, "/v1/bundles", authors, s.postBundle, op("push")},
		{get, "/v1/bundles/versions", registry, s.getBundleVersions, op("bundle-versions")},
		{get, "/v1/bundles/:digest", registry, s.getBundle, op("bundle")},
		{post, "/v1/bundles/:digest/activate", approvers, s.activateBundle, op("activate")},
		{post, "/v1/bundles/:digest/deactivate", approvers, s.deactivateBundle, op("deactivate")},
		{post, "/v1/bundles/:digest/impact", registry, s.bundleImpact, op("impact")},
		{post, "/v1/bundles/rollback", approvers, s.rollBackBundle, op("rollback")},
		{post, "/v1/bundles/:digest/shadow", approvers, s.postShadow, op("shadow")},
		{del, "/v1/bundles/:digest/shadow", approvers, s.deleteShadow, op("stop-shadow")},
		{get, "/v1/bundles/:digest/shadow", registry, s.getShadow, op("divergences")},
		{get, "/v1/settings", registry, s.getSettings, op("settings")},
		{put, "/v1/settings", approvers, s.putSettings, op("set-settings")},
		{get, "/v1/settings/versions", registry, s.getSettingsVersions, op("settings-versions")},
		{get, "/v1/settings/versions/:id", registry, s.getSettingsVersion, op("settings-version")},
		{post, "/v1/settings/rollback", approvers, s.rollbackSettings, op("rollback-settings")},
		{post, "/v1/settings/reset", approvers, s.resetSettings, op("reset-settings")},
		{post, "/v1/settings/impact", registry, s.settingsImpact, op("settings-impact")},
		{post, "/v1/api-keys", operators, s.postAPIKey, op("issue-key")},
		{get, "/v1/api-keys", operators, s.listAPIKeys, op("api-keys")},
		{del, "/v1/api-keys/:id", operators, s.deleteAPIKey, op("revoke-key")},
		{post, "/v1/keys/revocations", operators, s.postRevocation, op("revoke-signing-key")},
		{get, "/v1/trust", auditors, s.getTrust, op("trust")},

		{get, "/log/:origin/checkpoint", auditors, s.getCheckpoint, op("checkpoint")},
		{get, "/log/:origin/cosigned", auditors, s.getCosigned, op("cosigned")},
		{get, "/log/:origin/tile/*", auditors, s.getTile, op("tile")},

		{get, "/.well-known/jwks.json", everybody, s.getKeys, op("keys")},
		{get, "/livez", everybody, s.getLive, op("live")},
		{get, "/readyz", everybody, s.getReady, op("ready")},
		{get, "/health", everybody, s.getReady, op("ready")},
		{get, "/metrics", operators, s.getMetrics, op("metrics")},
		{get, "/openapi.json", everybody, s.getOpenAPI, op("openapi")},
		{get, "/docs", everybody, s.getDocs, op("docs")},
	}
}
