"""How clients prove who they are: a file of names and passwords, or a file of tokens."""
