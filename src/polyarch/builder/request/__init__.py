"""The values that a build is asked with."""
