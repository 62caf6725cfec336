"""Copy images from any place to any other: the copier, and archives and layouts as places.

Modules are imported by path (`from polyarch.transfer import copy`), so that a command imports only what it uses.
"""
