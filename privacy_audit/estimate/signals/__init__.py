"""Raw canary signals: conformance tests of the engine and the posterior of its parameters."""
