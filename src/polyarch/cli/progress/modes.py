"""The ways to show progress: apart from cli/progress/display.py, so that an option's choices cost no import of it."""

WAYS = ("auto", "tty", "plain", "rawjson", "quiet")
