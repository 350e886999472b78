// Package rego reads, compiles and evaluates policies written in Rego, with OPA as a library (spec/policy.md).
//
// A [Bundle] is files and a digest. [Compile] turns bundles and settings into [Policies] and reports every fault with its position; [Policies.Evaluate] says which constraints of a family a candidate violates.
// [Test] runs the bundles' own tests. Nothing here reads a clock, a random source or the network.
package rego
