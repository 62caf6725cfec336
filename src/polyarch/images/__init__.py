"""What people do to stored images: list, tag, remove, inspect, history, import, run. Values in, values out.

Modules are imported by path (`from polyarch.images import tag`), so that a command pays for what it uses.
"""
