"""The command line: parses arguments, calls one function below, prints the result. Only it reads the environment."""
