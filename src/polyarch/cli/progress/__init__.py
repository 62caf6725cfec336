"""How a command shows progress: BuildKit's modes of showing one stream of events (`cli/progress/modes.py`)."""
