// Package cel compiles a service contract into named predicates in CEL, and says of a request which of them are false and why.
//
// It decides nothing: what a false predicate of a stage means is the calculus' business. It knows the stages match, security and bounds; those in Rego are package rego's.
// Source: spec/contract.md, "What it compiles into".
package cel
