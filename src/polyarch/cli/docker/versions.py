"""The versions that clients compare: those of the programs of docker whose words and output Polyarch has."""

DOCKER = "28.5.2"
API = "1.51"
BUILDX = "v0.36.1"
COMPOSE = "v2.40.3"
# Clients ask for provenance only if this is a version of at least 0.11.0.
BUILDKIT = "v0.29.0"
