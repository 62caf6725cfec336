"""Caches that travel: results of steps in a registry, a directory or a service, for machines that start empty."""
