"""Images from any place to any other: the one copier, and archives and layouts as places.

Modules are imported by path (`from polyarch.transfer import copy`), so that a command pays for what it uses.
"""
