"""How each kind of vertex is done. `performer` is what the solver calls; the other files do one kind of work each."""
