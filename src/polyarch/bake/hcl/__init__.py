"""HCL, the language of bake files: text → bodies of attributes and blocks, and expressions → values. It does no I/O."""
