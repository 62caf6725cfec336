"""Bake: files that describe many images → targets → builds. HCL, JSON, and through the caller compose files."""
