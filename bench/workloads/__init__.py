"""The workloads by name. Each is a function that makes its inputs at a site and says who does what."""

from collections.abc import Callable, Mapping

from bench.site import Site
from bench.workloads import building, growth, moving, running, small
from bench.workloads.workload import Workload

WORKLOADS: Mapping[str, Callable[[Site], Workload]] = {
    "copy": building.copy,
    "foreign": building.foreign,
    "again": building.again,
    "changed": building.changed,
    "big": building.big,
    "wide": building.wide,
    "run": running.run,
    "step": running.step,
    "unpack": moving.unpack,
    "push-layers": moving.push_layers,
    "pull-layers": moving.pull_layers,
    "push-images": moving.push_images,
    "pull-images": moving.pull_images,
    "index": small.index,
    "tags": small.tags,
    "archive": small.archive,
    "check": small.check,
    "version": small.version,
    "lines": growth.lines,
    "directories": growth.directories,
    "variables": growth.variables,
    "ignored": growth.ignored,
    "chain": growth.chain,
    "push-many-layers": growth.push_many_layers,
    "pull-many-layers": growth.pull_many_layers,
    "push-many-entries": growth.push_many_entries,
    # Last, because the disk is still writing when they have ended.
    "stage": running.stage,
    "memory": building.memory,
    "files": growth.files,
}
