"""The values of `--progress`.

`auto` is `tty` on a terminal and `plain` elsewhere. `tty` redraws a line for each unit of work in place; `plain`
writes lines that stay; `rawjson` writes BuildKit's SolveStatus objects, one per line; `quiet` writes nothing.

They have a file of their own because every command declares them, and few import a renderer.
"""

MODES = ("auto", "tty", "plain", "rawjson", "quiet")
