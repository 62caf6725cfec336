"""The measurements: `python -m bench`. Inputs, contestants, workloads, limits and the report have a file each."""
