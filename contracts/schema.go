package contracts

import _ "embed"

// The schemas are made from the Go types and their comments by a test, which fails when they are not those of the types.
//
//go:generate go test -run ^TestSchemasAreThoseOfTheTypes$ . -update
var (
	//go:embed schema/contract.json
	contractSchema string
	//go:embed schema/request.json
	requestSchema string
)

// ContractSchema is the JSON Schema (2020-12) of a contract (spec/contract.md). What it can't say, such as which placement goes with which locality, [ParseContract] checks.
func ContractSchema() []byte { return []byte(contractSchema) }

// RequestSchema is the JSON Schema (2020-12) of a request as a client writes it (spec/contract.md, "The request, normalised"). What it can't say [ParseRequest] checks.
func RequestSchema() []byte { return []byte(requestSchema) }
