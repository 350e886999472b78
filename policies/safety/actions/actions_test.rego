package caio.safety.actions_test

import data.caio.safety.actions
import data.caio.testing
import rego.v2

settings := {
	"forbidden_intents": ["malware.*", "scoring"],
	"forbidden_tools": ["shell", "shell.*"],
	"human_intents": ["payment"],
	"human_tools": ["*.delete"],
	"human_permission": "human.agreed",
}

found(id, request) := result if {
	result := actions.violation[id] with input as testing.candidate({"request": request})
		with data.caio.settings.actions as settings
}

found_agreed(id, request) := result if {
	result := actions.violation[id] with input as testing.candidate({"request": request, "principal": {"permissions": ["ai.chat", "human.agreed"]}})
		with data.caio.settings.actions as settings
}

intent(type) := {"intent": {"type": type}}

capabilities(types) := {"requirements": {"capabilities": types}}

tools(value) := {"requirements": {"capability_parameters": {"chat": {"tools": value}}}}

# ACTION-INTENT

test_intent_refuses_the_forbidden if {
	found("ACTION-INTENT", intent("scoring")) == {"scoring is forbidden"}
	found("ACTION-INTENT", intent("malware.build.fast")) == {"malware.build.fast is forbidden"}
}

test_intent_refuses_it_with_a_humans_agreement_too if {
	found_agreed("ACTION-INTENT", intent("scoring")) == {"scoring is forbidden"}
}

test_intent_allows_the_rest if {
	found("ACTION-INTENT", intent("chat")) == set()
	found("ACTION-INTENT", intent("malware")) == set()
}

# ACTION-TOOL

test_tool_refuses_a_forbidden_capability if {
	found("ACTION-TOOL", capabilities(["chat", "tool.shell"])) == {"the tool shell is forbidden"}
}

test_tool_refuses_a_forbidden_parameter if {
	found("ACTION-TOOL", tools(["calendar.read", "shell.run"])) == {"the tool shell.run is forbidden"}
}

test_tool_refuses_what_it_can_not_read if {
	found("ACTION-TOOL", tools("shell")) == {"the parameter tools of chat is not a list of names"}
	found("ACTION-TOOL", tools([{"name": "shell"}])) == {"the parameter tools of chat is not a list of names"}
	found("ACTION-TOOL", tools({"first": "calendar.read"})) == {"the parameter tools of chat is not a list of names"}
}

test_tool_allows_the_rest if {
	found("ACTION-TOOL", tools(["calendar.read"])) == set()
	found("ACTION-TOOL", capabilities(["chat", "tool.calendar.read", "shell", "chat.shell"])) == set()
	found("ACTION-TOOL", {}) == set()
	found("ACTION-TOOL", {"requirements": {"capability_parameters": {"chat": {"streaming": true}}}}) == set()
}

# ACTION-HUMAN

test_human_refuses_an_intent_without_agreement if {
	found("ACTION-HUMAN", intent("payment")) == {"payment needs a human's agreement"}
}

test_human_refuses_a_tool_without_agreement if {
	found("ACTION-HUMAN", capabilities(["chat", "tool.records.delete"])) == {"the tool records.delete needs a human's agreement"}
	found("ACTION-HUMAN", tools(["records.delete"])) == {"the tool records.delete needs a human's agreement"}
}

test_human_allows_both_with_agreement if {
	found_agreed("ACTION-HUMAN", intent("payment")) == set()
	found_agreed("ACTION-HUMAN", tools(["records.delete"])) == set()
}

test_human_allows_the_rest if {
	found("ACTION-HUMAN", intent("chat")) == set()
	found("ACTION-HUMAN", tools(["records.read"])) == set()
}
