"""Build contexts: local directories, remote sources and named contexts."""
