"""From bake files to a `Definition`: variables, functions, blocks, and the values of their attributes."""
