"""The values of a build request."""
