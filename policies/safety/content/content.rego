# What the detectors found in a request, and where it may not go all the same. The rules see how often a detector found something, never what it found.
package caio.safety.content

import rego.v2

# METADATA
# title: Secrets stay in the house
# description: The detectors found no more keys, passwords and tokens in the request than the settings allow on this route. G is how many more they found.
# related_resources:
#   - ref: https://genai.owasp.org/llmrisk/llm022025-sensitive-information-disclosure/
#     description: "OWASP Top 10 for LLM Applications 2025, LLM02: sensitive information disclosure"
#   - ref: https://www.iso.org/standard/27001
#     description: "ISO/IEC 27001:2022, Annex A 5.17 (authentication information) and A 8.12 (data leakage prevention)"
# custom:
#   severity: critical
#   controls: [OWASP LLM02:2025, ISO/IEC 27001:2022 A.5.17, ISO/IEC 27001:2022 A.8.12, NIST SP 800-53 SC-7(10)]
#   remedy: Take the secrets out of the request, or choose a service on a route that settings.content.secrets does not list. A secret that has left is to be replaced.
violation["CONTENT-SECRET"] contains excess(data.caio.settings.content.secrets, "secrets")

# METADATA
# title: Card numbers stay in the house
# description: The detectors found no more payment card numbers in the request than the settings allow on this route. G is how many more they found.
# related_resources:
#   - ref: https://www.pcisecuritystandards.org/document_library/
#     description: "PCI DSS v4.0.1, requirement 12.8: third-party service providers with which account data is shared"
#   - ref: https://genai.owasp.org/llmrisk/llm022025-sensitive-information-disclosure/
#     description: "OWASP Top 10 for LLM Applications 2025, LLM02: sensitive information disclosure"
# custom:
#   severity: critical
#   controls: [PCI DSS v4.0.1 12.8, OWASP LLM02:2025, ISO/IEC 27001:2022 A.8.12]
#   remedy: Mask or remove the card numbers, or choose a service on a route that settings.content.card_numbers does not list.
violation["CONTENT-CARD"] contains excess(data.caio.settings.content.card_numbers, "card numbers")

# METADATA
# title: Marked injections go nowhere
# description: The detectors found no more markers of prompt injection in the request than the settings allow on this route. G is how many more they found.
# related_resources:
#   - ref: https://genai.owasp.org/llmrisk/llm01-prompt-injection/
#     description: "OWASP Top 10 for LLM Applications 2025, LLM01: prompt injection"
# custom:
#   severity: high
#   controls: [OWASP LLM01:2025, NIST AI RMF MEASURE 2.7]
#   remedy: Look at where the text comes from and take the instructions in it out. Where a detector cries wolf, someone answerable can raise settings.content.injection.max.
violation["CONTENT-INJECTION"] contains excess(data.caio.settings.content.injection, "markers of prompt injection")

# METADATA
# title: Nothing leaves unexamined
# description: >-
#   On the routes named, each type of finding that the settings list has been reported by a detector, be it with the count 0. A request that no detector has looked at looks just like a clean one otherwise.
# related_resources:
#   - ref: https://www.iso.org/standard/27001
#     description: "ISO/IEC 27001:2022, Annex A 8.12: data leakage prevention"
# custom:
#   severity: high
#   controls: [ISO/IEC 27001:2022 A.8.12]
#   remedy: Have the detector in front of the server report this type for every request, or choose a service on a route that settings.content.examined does not list.
violation["CONTENT-EXAMINED"] contains msg if {
	input.route in data.caio.settings.content.examined.routes
	some type in data.caio.settings.content.examined.types
	not type in reported
	msg := sprintf("no detector has reported on %s, and nothing goes on the route %s unexamined", [type, input.route])
}

excess(kind, name) := {
	"msg": sprintf("%d %s found, at most %d may go on the route %s", [found, name, kind.max, input.route]),
	"value": found - kind.max,
} if {
	input.route in kind.routes
	found := sum([finding.count |
		some finding in input.request.data.findings
		is_of(finding.type, kind.types)
	])
	found > kind.max
}

# A finding counts once, however many patterns it matches.
is_of(type, patterns) if {
	some pattern in patterns
	glob.match(pattern, null, type)
}

reported contains finding.type if some finding in input.request.data.findings
