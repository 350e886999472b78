# METADATA
# description: Well-formed inputs for tests of policies. Part of CAIO, and of no bundle.
package caio.testing

import rego.v2

# given is a whole input: the parts of a request and of a service that matter to a test, merged over well-formed defaults.
given(request, service) := candidate({"request": request, "service": service})

# candidate is the same with any part of the input: request, principal, service, estimate, route, time.
candidate(parts) := caio.testing.fill(parts, labels)

# labels are those that the settings add to the built-in ones.
default labels := []

labels := object.get(data.caio.settings, ["core", "labels"], [])
