"""Compose: compose files → one project of services → targets to build, and the project's canonical form.

It needs PyYAML (`polyarch[compose]`), which only `yamlfile.py` imports.
"""
