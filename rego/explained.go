package rego

// What is wrong with the files of a bundle, or with several bundles.
var bundleErrors = []Explanation{
	{Code: "bundle-empty", Title: "The bundle has no file", Why: "An empty bundle compiles and blocks nothing. Mostly it is the wrong folder.", Remedy: "Name the folder that holds the policies."},
	{Code: "bundle-file", Title: "The bundle has a file that can't be part of one", Why: "Delta bundles and links depend on something outside of the bundle, so the digest would not say what is in force.",
		Remedy: "Build a whole bundle of regular files."},
	{Code: "bundle-name", Title: "Two bundles, or two of their files, have the same name", Why: "A finding, a proof and the log name bundles and files: each name has to be of one thing.", Remedy: "Give the bundles names of which none continues another."},
	{Code: "bundle-path", Title: "The path of a file is not sound", Why: "A path that leaves the bundle, occurs twice or is written in two ways means something else on another machine.",
		Remedy: "Use relative paths with slashes, in their shortest form, each once."},
	{Code: "bundle-read", Title: "The bundle can't be read", Why: "A bundle has at most 4096 files and 32 MiB, unpacked, and has to be readable to the end.", Remedy: "Leave out what is no policy, data, test or scenario; make sure that the file is whole."},
	{Code: "data", Title: "A data file holds no map", Why: "Data is found by names. A list or a single value at the top has none.", Remedy: "Put the value under a name."},
	{Code: "data-conflict", Title: "Two places define the same data, or data stands where a package does", Why: "Which of them would be in force depended on the order in which files are read.", Remedy: "Define it once. Settings belong at data.caio.settings, not where a package is."},
	{Code: "data-syntax", Title: "A data file or a schema is not well-formed", Why: "JSON and YAML are read strictly: a key that stands twice, or `no` in the place of a text, would otherwise be read in two ways by two programs.",
		Remedy: "Mend the text at the place that is named."},
	{Code: "manifest", Title: "The manifest can't be used", Why: "A key that is not known is a key that is not obeyed, and compiled policies can't be read by those who audit them.", Remedy: "Keep to revision, roots, rego_version, file_rego_versions and metadata."},
	{Code: "manifest-root", Title: "Roots of bundles overlap, or are no paths", Why: "Each bundle owns its roots, so that no bundle can add to, or shadow, what another team signed.", Remedy: "Name in .manifest the packages and settings that are this bundle's own, and no others."},
	{Code: "root", Title: "A package or data stands outside the bundle's roots", Why: "Whoever signs a bundle answers for its roots, and for nothing else.", Remedy: "Add the root to .manifest, or move what is outside."},
	{Code: "schema", Title: "schema.json can't be used", Why: "The schema is what keeps a rule from falling silent for want of a setting. It refers to itself only, since policies see no network.", Remedy: "Write JSON Schema 2020-12, with local references alone."},
	{Code: "settings", Title: "Settings or data don't satisfy the schema", Why: "A rule that reads a setting of another type, or none, is undefined: it would block nothing, and nobody would notice.", Remedy: "Correct the value, or the schema where that is wrong."},
	{Code: "unknown-setting", Title: "There is no such setting", Why: "A misspelt setting is one that nobody reads: what it was to change stays as it is.", Remedy: "Use the name that is suggested, or describe the setting in schema.json."},
	{Code: "coefficients-fixed", Title: "A coefficient of the calculus is no setting", Why: "A decision must be replayable by anybody from the published equation. Were its coefficients settings, two tenants would compute different decisions from the same proof.",
		Remedy: "Let the request choose a profile: balanced, economy, realtime or assurance."},
	{Code: "too-large", Title: "The policies are too large to compile", Why: "The work of OPA's compiler grows with the square of the rules that need each other, so it is bounded how many there are, and how often one needs another (20000 times, all together). A server that takes minutes to start, or to answer a push, is one that is not there.",
		Remedy: "Move lists into data, and what only differs in values into one rule over them."},
}

// What is wrong with constraints, and with what looks like one.
var constraintErrors = []Explanation{
	{Code: "annotation", Title: "The annotation of a constraint is not complete", Why: "A denial names the rule, its severity, the controls behind it and the remedy. They come from the annotation.",
		Remedy: "Give it title, custom.severity (critical, high, medium or low), custom.controls (a list, which may be empty) and custom.remedy; rules in Conftest's form custom.id too."},
	{Code: "constraint-in-test", Title: "A constraint stands in a file of tests", Why: "Files of tests are not evaluated: it would block nothing.", Remedy: "Move it to a file whose name does not end in _test.rego."},
	{Code: "constraint-outside-family", Title: "A constraint stands in a package outside the families", Why: "Only packages in caio.safety, caio.policy and caio.traits are evaluated, whoever imports the others: it would block nothing.", Remedy: "Move it to a package of a family."},
	{Code: "deny-without-constraint", Title: "`deny` rules belong to no constraint", Why: "Rules in Conftest's form have no id in their path. Without an annotation there is no constraint that they could violate.",
		Remedy: "Put a METADATA comment with title, custom.id, custom.severity, custom.controls and custom.remedy directly above one of the package's deny rules."},
	{Code: "duplicate-id", Title: "Two constraints have the same id", Why: "Proofs, metrics and exceptions name a constraint by its id. It has to be of one.", Remedy: "Give one of them another id."},
	{Code: "margin", Title: "A margin is of no constraint of its package", Why: "It would be computed and shown nowhere.", Remedy: "Name a constraint of the same package."},
	{Code: "misplaced-annotation", Title: "The annotation of a constraint stands in front of something else", Why: "A helper that has slipped between an annotation and its rule takes the annotation along.", Remedy: "Move it directly above a rule of the constraint."},
	{Code: "near-miss", Title: "A rule is named like a constraint, and is none", Why: "OPA evaluates what it is asked for. Nobody asks for `violations` or `denied`: the rule would block nothing.", Remedy: "Use the form that is suggested, or another name for what is only a helper."},
	{Code: "no-annotation", Title: "A constraint has no annotation", Why: "Whoever is denied something has to be told which rule it was, and what can be done.", Remedy: "Put a METADATA comment with title, custom.severity, custom.controls and custom.remedy directly above one of its rules."},
	{Code: "package", Title: "A package is in no family, and in use by none", Why: "Nothing would evaluate it. A misspelt family, `caio.polices`, looks like one that is in force.", Remedy: "Move it to caio.safety, caio.policy or caio.traits; what packages share lives outside caio."},
	{Code: "repeated-annotation", Title: "A constraint is annotated twice", Why: "Two titles, severities or remedies of one constraint can't both be true.", Remedy: "Keep one annotation, above one of its rules."},
	{Code: "unread-rule", Title: "A rule of a family's package is read by nothing", Why: "It contains something, as constraints do, and no constraint, margin or warning reads it. That a test does is no help: it blocks nothing.",
		Remedy: "Write violation[\"ID\"] contains message for what is to block, and remove what nothing needs."},
	{Code: "violation-value", Title: "What a constraint contains is no violation", Why: "A value of 0 or less is satisfied, so that the rule blocks nothing; anything else that is neither a message nor {\"msg\", \"value\"} can't be evaluated, and denies everything.",
		Remedy: "Write a text, or {\"msg\": text, \"value\": n} with n a whole number above 0."},
}

// What is wrong with names and values.
var referenceErrors = []Explanation{
	{Code: "optional-data", Title: "A setting may be absent", Why: "Where it is absent the rule is undefined, and blocks nothing. Of a setting it is an error, of other data a warning.", Remedy: "List it as required in schema.json, or read it with object.get and a default."},
	{Code: "testing", Title: "A policy uses data.caio.testing", Why: "That package makes up inputs. It is there for tests alone.", Remedy: "Move the rule to a file whose name ends in _test.rego."},
	{Code: "type-mismatch", Title: "Values that never have the same type are compared", Why: "Rego compares values of different types without complaint: they are never equal, and every text is greater than every number. Such a rule never fires, or always.",
		Remedy: "Compare with a value of the field's type. To look in a text, use contains(text, part)."},
	{Code: "uncovered-data", Title: "Data that no schema describes", Why: "A misspelt setting, `data.caio.setings`, is undefined, and with it the rule. With a schema, what is absent is refused before it is in force.", Remedy: "Use the name that is suggested, or describe it, with `required`, in a schema.json at the bundle's root."},
	{Code: "unknown-constraint", Title: "An id that no constraint of the package has", Why: "It is undefined. A test that nothing is violated holds under it whatever the rules say, and another rule that reads it never fires.", Remedy: "Use the id that is suggested."},
	{Code: "unknown-field", Title: "A field that does not exist", Why: "A reference to a field that does not exist is undefined. A rule that needs it never fires, and one that negates it always does.", Remedy: "Use the name that is suggested. docs/input.md lists what a rule sees."},
	{Code: "unknown-guarantee", Title: "A guarantee that is very nearly one with a meaning", Why: "Contracts may have guarantees of their own, so that any name can be asked for; nobody promises `latancy`.", Remedy: "Use the name that is suggested."},
	{Code: "unknown-rule", Title: "A package has no such rule", Why: "It is undefined, silently, wherever it is read.", Remedy: "Use the name that is suggested."},
	{Code: "unknown-value", Title: "A value that a field never has", Why: "The comparison never holds, or always. Placements, routes, localities, attestations and profiles have fixed values; of labels only what is one letter from a built-in one is refused, but settings that a schema marks with the format caio-label hold none that there isn't.",
		Remedy: "Use the value that is suggested. Labels of your own belong in settings.core.labels."},
}

// What is wrong with the Rego.
var languageErrors = []Explanation{
	{Code: "compile-error", Title: "OPA's compiler refuses it", Why: "Policies are compiled in strict mode: variables and imports that nothing uses are mostly a slip.", Remedy: "Do what the message says; remove what nothing uses."},
	{Code: "import-rego-v2", Title: "The file does not import rego.v2", Why: "Without it `not f(x)` is undefined where x is, and the rule does not fire: what is missing would be let through.", Remedy: "Write `import rego.v2` below the package."},
	{Code: "parse-error", Title: "The file is not Rego", Why: "Nothing of it can be in force.", Remedy: "Mend the text at the place that is named; caio policy fmt shows how OPA reads the rest."},
	{Code: "recursion-error", Title: "A rule needs itself", Why: "Rego has no recursion, so that every evaluation ends.", Remedy: "Break the circle: compute what both rules need in a third."},
	{Code: "time-zone", Title: "A time function depends on the machine", Why: "What a zone is, or its abbreviation, is in files of the machine. A decision has to come out the same wherever it is replayed.", Remedy: "Use UTC, and numeric offsets when reading times."},
	{Code: "type-error", Title: "OPA's type checker refuses it", Why: "A built-in gets what it can't take, or is not one: only those whose result depends on their arguments alone can be called, so that a decision can be replayed.", Remedy: "Do what the message says. The time of the decision is input.time."},
	{Code: "unsafe-var-error", Title: "A variable has no value", Why: "Rego can't enumerate what a variable that nothing binds could be.", Remedy: "Bind it: with :=, with some … in, or as an argument."},
}

// What keeps no bundle from being used, but is probably not meant.
var warnings = []Explanation{
	{Code: "field-of-some", Title: "A function reads a field that not all of its calls give it", Why: "For those calls the function is undefined. That may be on purpose, where a function takes several kinds of things.", Remedy: "Make two functions of it, or give it what has the field."},
	{Code: "never-true", Title: "A condition that no well-formed input satisfies", Why: "A list that is always there is true even when it is empty, and nothing is counted below 0: the rule never fires.", Remedy: "Write the condition that is meant, as count(list) == 0."},
	{Code: "no-test", Title: "No test mentions a constraint", Why: "A rule that never fires looks like one that is satisfied. Only a test in which it fires tells them apart.", Remedy: "Write a test_ rule in which it is violated and one in which it is not, or a scenario that expects its violation."},
	{Code: "shadowed", Title: "A definition that changes nothing", Why: "Another definition of the rule is true whenever this one is, and says the same; or what stands before an else is always true. Whoever edits it will wonder why nothing happens.", Remedy: "Remove one of them, or write the condition that tells them apart."},
	{Code: "sprintf-arguments", Title: "sprintf is given more values than its text has places for, or fewer", Why: "The message then says %!s(MISSING), or %!(EXTRA string=eu), where it was to name something. Whoever is denied reads it, and it stands in the proof.", Remedy: "Give a value for each place, and no other; a percent sign is written %%."},
	{Code: "stray-file", Title: "A file that looks like one that is read, and is not", Why: "A policy in `house.rego.bak` or settings in `Data.json` are in force for whoever wrote them, and for nobody else. What differs by the case alone is an error, since some file systems don't tell the difference.",
		Remedy: "Rename the file, or take it out of the bundle."},
	{Code: "unreachable", Title: "A body that can't be true", Why: "It compares literals that differ, or asks one place for two values: what follows from it never happens.", Remedy: "Where either is meant, write two rules; otherwise remove it."},
	{Code: "unused-ignore", Title: "A comment that silences nothing", Why: "It was for a warning that is gone, and would silence the next one in its place.", Remedy: "Remove it, or move it to the line that the warning points to."},
}
