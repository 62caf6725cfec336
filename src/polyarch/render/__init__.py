"""Values → text or HTML. Nothing here prints, reads a file, the clock, the terminal or the environment."""
