# What the Artificial Intelligence Act says of a use that the request names, by its purpose or its intent, as far as the organisation has registered which uses these are.
# What each rule takes from the law and what it adds is in README.md.
package caio.safety.ai_act

import rego.v2

# METADATA
# title: No prohibited practice
# description: >-
#   Neither the intent nor the purpose of the request is registered as a practice that Art. 5(1) prohibits, from the day on which the prohibition applies.
#   Where the point itself has an exception, one may be on record for the purpose.
# related_resources:
#   - ref: https://eur-lex.europa.eu/eli/reg/2024/1689/oj
#     description: "Regulation (EU) 2024/1689, Art. 5: prohibited AI practices; Art. 113: from 2 February 2025"
#   - ref: https://eur-lex.europa.eu/eli/reg/2026/1744/oj
#     description: "Regulation (EU) 2026/1744, which adds points (ba) and (bb) to Art. 5(1), from 2 December 2026"
# custom:
#   severity: critical
#   controls: [AI Act Art. 5(1), ISO/IEC 42001:2023 A.9.4]
#   remedy: There is none for a prohibited practice. If the use isn't one, or falls under an exception of the point named, have someone answerable change or record that in settings.ai_act.prohibited.
violation["AI-ACT-5"] contains msg if {
	some use in prohibited
	input.time >= use.from
	msg := sprintf("%s is registered as a practice that Art. 5(1)(%s) prohibits", [use.name, use.point])
}

warn["AI-ACT-5"] contains msg if {
	some use in prohibited
	input.time < use.from
	msg := sprintf("%s is registered as a practice that Art. 5(1)(%s) prohibits from %s", [use.name, use.point, use.from])
}

# METADATA
# title: Somebody oversees a high-risk use
# description: >-
#   A request whose intent or purpose is registered as a high-risk use comes from a caller whose token says, by a permission or a role, that a natural person has been assigned to oversee that use,
#   from the day on which the duties for it apply.
# related_resources:
#   - ref: https://eur-lex.europa.eu/eli/reg/2024/1689/oj
#     description: "Regulation (EU) 2024/1689, Art. 14: human oversight; Art. 26(2): deployers assign it; Art. 6 and Annex III: which systems are high-risk"
#   - ref: https://eur-lex.europa.eu/eli/reg/2026/1744/oj
#     description: "Regulation (EU) 2026/1744, which moves Chapter III, Sections 1 to 3, in Art. 113 to 2 December 2027 (Art. 6(2) and Annex III) and 2 August 2028 (Art. 6(1) and Annex I)"
# custom:
#   severity: high
#   controls: [AI Act Art. 14, AI Act Art. 26(2), ISO/IEC 42001:2023 A.9.2]
#   remedy: >-
#     Assign oversight of this use to someone competent and send the request with a token that says so, by settings.ai_act.oversight_permission or one of oversight_roles.
#     If the use is not high-risk by Art. 6(3), have the assessment recorded in settings.ai_act.not_high_risk.
violation["AI-ACT-14"] contains msg if {
	not overseen
	some use in high_risk
	input.time >= use.from
	msg := sprintf("%s is registered as high-risk, %s, and the token says of nobody that they oversee it", [use.name, use.point])
}

warn["AI-ACT-14"] contains msg if {
	not overseen
	some use in high_risk
	input.time < use.from
	msg := sprintf("%s is registered as high-risk, %s, and needs someone to oversee it from %s", [use.name, use.point, use.from])
}

# METADATA
# title: A purpose where it decides
# description: A request with an intent that could serve a prohibited or a high-risk use states its purpose. Without one the other rules of this pack can't tell.
# related_resources:
#   - ref: https://eur-lex.europa.eu/eli/reg/2024/1689/oj
#     description: "Regulation (EU) 2024/1689, Art. 3(12): intended purpose; Art. 6(2) and Annex III, which classify by it"
# custom:
#   severity: medium
#   controls: [AI Act Art. 3(12), AI Act Art. 26(1), ISO/IEC 42001:2023 A.9.4]
#   remedy: State the purpose in the request.
violation["AI-ACT-PURPOSE"] contains msg if {
	input.request.purpose == ""
	matches(input.request.intent.type, data.caio.settings.ai_act.purpose_required)
	msg := sprintf("the request does not say for what purpose it wants %s", [input.request.intent.type])
}

# What the request says of its use. No purpose is no name, which a pattern of any text would match.
named contains input.request.intent.type

named contains input.request.purpose if input.request.purpose != ""

prohibited contains {"name": name, "point": point, "from": practice.from} if {
	some point, practice in data.caio.settings.ai_act.prohibited
	not practice.exceptions[input.request.purpose]
	some name in named
	matches(name, practice.patterns)
}

high_risk contains {"name": name, "point": point, "from": annex.from} if {
	not data.caio.settings.ai_act.not_high_risk[input.request.purpose]
	some annex in data.caio.settings.ai_act.high_risk
	some point, patterns in annex.uses
	some name in named
	matches(name, patterns)
}

overseen if data.caio.settings.ai_act.oversight_permission in input.principal.permissions

overseen if {
	some role in input.principal.roles
	role in data.caio.settings.ai_act.oversight_roles
}

matches(name, patterns) if {
	some pattern in patterns
	glob.match(pattern, null, name)
}
