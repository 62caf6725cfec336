"""Operations on stored images: list, tag, remove, inspect, history, import, run.

Modules are imported by path (`from polyarch.images import tag`), so that a command imports only what it uses.
"""
