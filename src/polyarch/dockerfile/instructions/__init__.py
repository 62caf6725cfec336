"""The instructions as values, a file a family; each family parses and expands its own."""
