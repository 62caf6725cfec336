"""Multi-platform indexes by name: made, edited, compared, merged and pushed, from the store and from any other place.

Modules are imported by path (`from polyarch.indexes import create`), so that a command pays for what it uses.
"""
