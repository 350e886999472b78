# What may not be done at all, whoever would do it, and what may be done only when a human has agreed.
package caio.safety.actions

import rego.v2

# METADATA
# title: The intent is not forbidden
# description: The type of the intent matches no pattern of the list of forbidden intents.
# related_resources:
#   - ref: https://www.nist.gov/itl/ai-risk-management-framework
#     description: "NIST AI RMF 1.0, GOVERN 1.2 and MAP 1.1: intended purposes and prohibited uses"
# custom:
#   severity: critical
#   controls: [NIST AI RMF MAP 1.1, ISO/IEC 42001:2023 A.9.4]
#   remedy: There is none for this intent. Someone answerable for settings.actions.forbidden_intents can change what is forbidden.
violation["ACTION-INTENT"] contains msg if {
	some pattern in data.caio.settings.actions.forbidden_intents
	glob.match(pattern, null, input.request.intent.type)
	msg := sprintf("%s is forbidden", [input.request.intent.type])
}

# METADATA
# title: The tools are not forbidden
# description: >-
#   No tool that the request asks for matches a pattern of the list of forbidden tools. A request asks for a tool by the capability tool.NAME, or by the parameter `tools` of any capability.
#   A parameter that can't be read as names of tools is refused.
# related_resources:
#   - ref: https://genai.owasp.org/llmrisk/llm062025-excessive-agency/
#     description: "OWASP Top 10 for LLM Applications 2025, LLM06: excessive agency"
# custom:
#   severity: critical
#   controls: [OWASP LLM06:2025, ISO/IEC 42001:2023 A.9.4]
#   remedy: Ask for no forbidden tool, and name tools as a list of texts.
violation["ACTION-TOOL"] contains msg if {
	some tool in tools
	some pattern in data.caio.settings.actions.forbidden_tools
	glob.match(pattern, null, tool)
	msg := sprintf("the tool %s is forbidden", [tool])
}

violation["ACTION-TOOL"] contains msg if {
	some capability, parameters in input.request.requirements.capability_parameters
	not is_list_of_texts(object.get(parameters, "tools", []))
	msg := sprintf("the parameter tools of %s is not a list of names", [capability])
}

# METADATA
# title: A human has agreed
# description: >-
#   An intent or a tool that needs a human goes through only for a caller whose token carries the permission that says that a human has agreed to this action.
# related_resources:
#   - ref: https://genai.owasp.org/llmrisk/llm062025-excessive-agency/
#     description: "OWASP Top 10 for LLM Applications 2025, LLM06: human approval of high-impact actions"
#   - ref: https://eur-lex.europa.eu/eli/reg/2016/679/oj
#     description: "Regulation (EU) 2016/679, Art. 22: automated individual decision-making"
# custom:
#   severity: high
#   controls: [OWASP LLM06:2025, GDPR Art. 22(1), ISO/IEC 42001:2023 A.9.2]
#   remedy: Have a human review the action and send the request with a token that carries the permission of settings.actions.human_permission.
violation["ACTION-HUMAN"] contains msg if {
	not agreed
	some pattern in data.caio.settings.actions.human_intents
	glob.match(pattern, null, input.request.intent.type)
	msg := sprintf("%s needs a human's agreement", [input.request.intent.type])
}

violation["ACTION-HUMAN"] contains msg if {
	not agreed
	some tool in tools
	some pattern in data.caio.settings.actions.human_tools
	glob.match(pattern, null, tool)
	msg := sprintf("the tool %s needs a human's agreement", [tool])
}

agreed if data.caio.settings.actions.human_permission in input.principal.permissions

tools contains substring(capability, 5, -1) if {
	some capability in input.request.requirements.capabilities
	startswith(capability, "tool.")
}

tools contains tool if {
	some parameters in input.request.requirements.capability_parameters
	some tool in parameters.tools
	is_string(tool)
}

is_list_of_texts(value) if {
	is_array(value)
	every element in value {
		is_string(element)
	}
}
