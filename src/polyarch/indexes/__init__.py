"""Multi-platform indexes by name: create, edit, compare, merge and push them.

Modules are imported by path (`from polyarch.indexes import create`), so that a command imports only what it uses.
"""
