# What the General Data Protection Regulation asks of a service that gets personal data, as far as a contract and a request can show it.
# What each rule takes from the law and what it adds is in README.md.
package caio.policy.gdpr

import rego.v2

# METADATA
# title: Personal data stays where the regulation reaches
# description: >-
#   A request with personal data goes only to a service all of whose regions are in the list of permitted regions, or for which a transfer instrument is on record.
#   A service that does not say where it keeps data is refused.
# related_resources:
#   - ref: https://eur-lex.europa.eu/eli/reg/2016/679/oj
#     description: "Regulation (EU) 2016/679, Art. 44: general principle for transfers"
#   - ref: https://www.edpb.europa.eu/our-work-tools/general-guidance/guidelines-recommendations-best-practices_en
#     description: "EDPB Guidelines 05/2021: what a transfer is"
# custom:
#   severity: critical
#   controls: [GDPR Art. 44, GDPR Art. 46, ISO/IEC 27701:2019 7.5.1]
#   remedy: Choose a service whose every region is permitted, record the transfer instrument of this one in settings.gdpr.safeguards, or remove personal data from the request.
violation["GDPR-44"] contains msg if {
	is_personal
	not has_safeguard
	outside := [region | some region in input.service.privacy.regions; not region in data.caio.settings.gdpr.regions]
	count(outside) > 0
	msg := sprintf("%s keeps data in %s, outside %s", [input.service.id, concat(", ", outside), concat(", ", data.caio.settings.gdpr.regions)])
}

violation["GDPR-44"] contains msg if {
	is_personal
	not has_safeguard
	not count(input.service.privacy.regions) > 0
	msg := sprintf("%s does not say where it keeps data", [input.service.id])
}

# METADATA
# title: Personal data is used for a registered purpose
# description: >-
#   A purpose that the caller states must be in the register of purposes and must cover the intent. Where the settings require a purpose, a request with personal data that states none is refused.
# related_resources:
#   - ref: https://eur-lex.europa.eu/eli/reg/2016/679/oj
#     description: "Regulation (EU) 2016/679, Art. 5(1)(b): purpose limitation"
# custom:
#   severity: high
#   controls: [GDPR Art. 5(1)(b), ISO/IEC 27701:2019 7.2.1]
#   remedy: State one of the registered purposes in the request, or have this one entered in settings.gdpr.purposes with the intents that it covers.
violation["GDPR-5-1-B"] contains "the request does not say for what purpose it uses personal data" if {
	is_personal
	input.request.purpose == ""
	data.caio.settings.gdpr.require_purpose
}

violation["GDPR-5-1-B"] contains msg if {
	is_personal
	input.request.purpose != ""
	not data.caio.settings.gdpr.purposes[input.request.purpose]
	msg := sprintf("the purpose %s is not registered", [input.request.purpose])
}

violation["GDPR-5-1-B"] contains msg if {
	is_personal
	purpose := data.caio.settings.gdpr.purposes[input.request.purpose]
	not input.request.intent.type in purpose.intents
	msg := sprintf("the purpose %s does not cover %s", [input.request.purpose, input.request.intent.type])
}

# METADATA
# title: No more personal data than the purpose needs
# description: >-
#   An intent that works without personal data gets none, and a registered purpose admits only the kinds of personal data that it is registered for.
# related_resources:
#   - ref: https://eur-lex.europa.eu/eli/reg/2016/679/oj
#     description: "Regulation (EU) 2016/679, Art. 5(1)(c): data minimisation"
# custom:
#   severity: high
#   controls: [GDPR Art. 5(1)(c), GDPR Art. 25(2), ISO/IEC 27701:2019 7.4.4]
#   remedy: Remove the personal data from the request, or have settings.gdpr say that this intent or purpose needs it.
violation["GDPR-5-1-C"] contains msg if {
	is_personal
	input.request.intent.type in data.caio.settings.gdpr.intents_without_personal_data
	msg := sprintf("%s does not need personal data", [input.request.intent.type])
}

violation["GDPR-5-1-C"] contains msg if {
	purpose := data.caio.settings.gdpr.purposes[input.request.purpose]
	some label in personal
	not label in purpose.labels
	msg := sprintf("the purpose %s is not registered for %s", [input.request.purpose, label])
}

# METADATA
# title: Personal data trains nobody's models
# description: A request with personal data goes only to a service that states that it does not train on what it is sent. Silence is refused.
# related_resources:
#   - ref: https://eur-lex.europa.eu/eli/reg/2016/679/oj
#     description: "Regulation (EU) 2016/679, Art. 28(3)(a): a processor acts only on documented instructions"
#   - ref: https://eur-lex.europa.eu/eli/reg/2016/679/oj
#     description: "Regulation (EU) 2016/679, Art. 5(1)(b): purpose limitation"
# custom:
#   severity: critical
#   controls: [GDPR Art. 28(3)(a), GDPR Art. 5(1)(b)]
#   remedy: Choose a service whose contract says trains_on_data false, after opting out with the vendor if it trains by default, or remove personal data from the request.
violation["GDPR-28-3-A"] contains msg if {
	is_personal
	input.service.privacy.trains_on_data
	msg := sprintf("%s trains on what it is sent", [input.service.id])
}

violation["GDPR-28-3-A"] contains msg if {
	is_personal
	not is_boolean(input.service.privacy.trains_on_data)
	msg := sprintf("%s does not say whether it trains on what it is sent", [input.service.id])
}

# METADATA
# title: Special categories need a ground of their own
# description: A request with data of a special category states a purpose for which a ground of Art. 9(2) is on record.
# related_resources:
#   - ref: https://eur-lex.europa.eu/eli/reg/2016/679/oj
#     description: "Regulation (EU) 2016/679, Art. 9: processing of special categories of personal data"
# custom:
#   severity: critical
#   controls: [GDPR Art. 9(1), GDPR Art. 9(2), ISO/IEC 27701:2019 7.2.2]
#   remedy: State a purpose whose ground under Art. 9(2) is recorded in settings.gdpr.special_grounds, or remove the data of a special category from the request.
violation["GDPR-9"] contains msg if {
	special := [label | some label in input.request.data.labels; label in data.caio.settings.gdpr.special_labels]
	count(special) > 0
	not data.caio.settings.gdpr.special_grounds[input.request.purpose]
	msg := sprintf("no ground of Art. 9(2) is on record for %s with purpose %q", [concat(", ", special), input.request.purpose])
}

is_personal if count(personal) > 0

personal contains label if {
	some label in input.request.data.labels
	label in data.caio.settings.gdpr.personal_labels
}

has_safeguard if data.caio.settings.gdpr.safeguards[input.service.id]
