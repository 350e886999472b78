// Package contracts holds the nouns of CAIO: the service contract, the request, the principal, and what is said of them. It reads them strictly, with the position of every fault, fills in every default, and gives them a canonical form and a digest.
//
// It is a leaf: it knows nothing of CEL, Rego, scoring or storage. Source: spec/contract.md, and section 1 of spec/calculus.md for numbers.
package contracts
