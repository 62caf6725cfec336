"""Programs that people use with a registry, each pushing to and pulling from one what it has for two platforms."""
