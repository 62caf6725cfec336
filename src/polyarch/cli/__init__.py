"""The command line: words in, one call of a room below, words out. The only room that reads the environment."""
