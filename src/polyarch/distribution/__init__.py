"""The registry protocol as values: endpoints, error codes, authentication, headers. Nothing here sends or receives.

The OCI distribution specification decides it, and where that is silent the "Docker Registry HTTP API V2" and its "Token
Authentication Specification". `registry/` is the client that speaks it.
"""
