package server

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"runtime"
	"runtime/debug"

	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// ReadBuild says what this program was built from, as documents state it: the digest is that of Go's build information, which names every module with its checksum, the settings and the revision.
func ReadBuild() (verify.Build, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return verify.Build{}, errors.New("server: the program holds no build information")
	}
	sum := sha256.Sum256([]byte(info.String()))
	b := verify.Build{
		Version: info.Main.Version, Digest: hex.EncodeToString(sum[:]), Go: info.GoVersion, Arch: runtime.GOARCH,
		Capabilities: rego.CapabilitiesDigest(),
	}
	fill(&b.Version, "(devel)")
	for path, version := range map[string]*string{"github.com/open-policy-agent/opa": &b.OPA, "cel.dev/cel-go": &b.CEL} {
		for _, dependency := range info.Deps {
			if dependency.Path == path {
				*version = dependency.Version
			}
		}
		// Programs that `go test` builds hold no list of modules.
		fill(version, "unknown")
	}
	return b, nil
}
