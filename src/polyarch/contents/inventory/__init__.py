"""The software in a layer, from the databases and metadata of package managers: one file for each ecosystem."""
