"""COPY, ADD and WORKDIR: which files go where, and the layer that holds them.

From a vertex to its layer: `performer` (what the solver calls), `selection` and `arrangements` (found again), `arrange`
(one copy on one base), `packing` (the blob), `notes` (warnings).

The rules of `arrange`: `placement` (COPY), `unpack` (archives of ADD), `wildcards`, `rules` with `modes` and `accounts`
(--chmod, --chown), `entry_table` (the result). Its sources: `files`, `archives`, `followed_links`.
"""
