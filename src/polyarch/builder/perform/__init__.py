"""How each kind of vertex is done, a file each; `performer.py` is what the solver talks to."""
