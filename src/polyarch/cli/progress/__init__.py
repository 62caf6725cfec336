"""How the progress of a command is shown: live, plain, as JSON or not at all."""
