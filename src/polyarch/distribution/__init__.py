"""The registry protocol as values: endpoints, error codes, authentication, headers. Nothing here sends or receives.

Follows the OCI distribution specification and, where that is silent, the "Docker Registry HTTP API V2" and its "Token
Authentication Specification". The client is `registry/`.
"""
