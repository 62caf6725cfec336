"""The workloads by name. Each is a function that makes its inputs at a site and says who does what."""

from collections.abc import Callable, Mapping

from bench.site import Site
from bench.workloads import baking, building, caching, growth, moving, running, sboms, serving, small, waiting
from bench.workloads.workload import Workload

WORKLOADS: Mapping[str, Callable[[Site], Workload]] = {
    "copy": building.copy,
    "foreign": building.foreign,
    "again": building.again,
    "cached-copy": caching.cached_copy,
    "cached-runs": caching.cached_runs,
    "changed": building.changed,
    "lines": building.lines,
    "big": building.big,
    "copies": building.copies,
    "wide": building.wide,
    "bake": baking.bake,
    "bake-again": baking.bake_again,
    "run": running.run,
    "step": running.step,
    "unpack": moving.unpack,
    "push-layers": moving.push_layers,
    "pull-layers": moving.pull_layers,
    "push-images": moving.push_images,
    "pull-images": moving.pull_images,
    "serve-pull": serving.serve_pull,
    "serve-push": serving.serve_push,
    "index": small.index,
    "tags": small.tags,
    "archive": small.archive,
    "check": small.check,
    "sbom": sboms.sbom,
    "version": small.version,
    "many-lines": growth.many_lines,
    "directories": growth.directories,
    "variables": growth.variables,
    "ignored": growth.ignored,
    "chain": growth.chain,
    "push-many-layers": growth.push_many_layers,
    "pull-many-layers": growth.pull_many_layers,
    "push-many-entries": growth.push_many_entries,
    # Last, because the disk is still writing when they have ended.
    "stage": running.stage,
    "apt": waiting.apt,
    "pip": waiting.pip,
    "npm": waiting.npm,
    "web": waiting.web,
    "memory": building.memory,
    "files": growth.files,
}

# Their bases are made as root (bench/bases.py).
NEED_ROOT = frozenset({"apt", "pip", "npm", "web"})
