"""The contents of layers: listings, facts about files, and unpacked snapshots."""
