package rego

// CapabilitiesDigest is the SHA-256, in hex, of the capabilities that policies are compiled with.
func CapabilitiesDigest() string { return "" }
