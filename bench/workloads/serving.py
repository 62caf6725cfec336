"""`polyarch serve` beside Debian's docker-registry. Client and server share the processors."""

import os
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import measure
from bench.measure import Command, Contestant, Results, Taken
from bench.site import Site
from bench.workloads.workload import Figure, Workload, nothing
from scripts.local_registry import LocalRegistry
from scripts.registry_process import RegistryProcess
from scripts.served_store import ServedStore

_LOAD = Path(__file__).parents[1] / "load.py"
_PULLS, _PULLED_LAYERS, _PULLED_LAYER = 500, 4, 25_000_000
_PUSHES, _PUSHED_LAYERS, _PUSHED_LAYER = 50, 4, 5_000_000
_MEMORY = 200  # MB
_OURS, _THEIRS = "polyarch serve", "docker-registry"


def serve_pull(site: Site) -> Workload:
    """500 pulls at once of an image of 100 MB; processor: server and client"""
    servers = _servers(site)
    for server in servers.values():
        site.run(_load(site, "push", server, "pulled", 1, _PULLED_LAYERS, _PULLED_LAYER, "one"))

    def pull(server: RegistryProcess) -> Callable[[int], Sequence[Command]]:
        return lambda run: [_load(site, "pull", server, "pulled-0", "one-0", _PULLS)]

    def figures(results: Results) -> list[Figure]:
        size = _PULLS * _PULLED_LAYERS * _PULLED_LAYER
        return [
            *_figures(servers, results, size),
            Figure("bytes per processor second", _per_processor(results), f"x {_THEIRS}'s", 2, True),
        ]

    return Workload([_contestant(name, server, nothing, pull(server)) for name, server in servers.items()], figures)


def serve_push(site: Site) -> Workload:
    """50 pushes at once of different images of 20 MB; processor: server and client"""
    servers = _servers(site)

    def push(name: str, server: RegistryProcess) -> Callable[[int], Sequence[Command]]:
        size = (_PUSHES, _PUSHED_LAYERS, _PUSHED_LAYER)
        return lambda run: [_load(site, "push", server, f"pushed-{run}", *size, f"run-{run}")]

    def figures(results: Results) -> list[Figure]:
        size = _PUSHES * _PUSHED_LAYERS * _PUSHED_LAYER
        return [
            *_figures(servers, results, size),
            Figure("throughput", measure.ratio(results[_OURS], results[_THEIRS]), f"x {_THEIRS}'s", 2, True),
        ]

    def written(run: int) -> None:
        # The disk may still be busy with what the other one wrote.
        os.sync()

    made = [_contestant(name, server, written, push(name, server)) for name, server in servers.items()]
    return Workload(made, figures)


def _servers(site: Site) -> dict[str, RegistryProcess]:
    own = LocalRegistry(site.fresh("docker-registry"))
    site.also(own)
    served = ServedStore(site.fresh("served"))
    site.also(served)
    return {_OURS: served, _THEIRS: own}


def _contestant(
    name: str,
    server: RegistryProcess,
    prepare: Callable[[int], None],
    commands: Callable[[int], Sequence[Command]],
) -> Contestant:
    return Contestant(name, prepare, commands, server.processor_seconds)


def _load(site: Site, kind: str, server: RegistryProcess, *words: object) -> Command:
    return Command((sys.executable, "-IS", str(_LOAD), kind, server.address, *map(str, words)), site.environment)


def _figures(servers: dict[str, RegistryProcess], results: Results, size: int) -> list[Figure]:
    """For each server: bytes in a second, bytes in a second of its processor, and its peak memory."""
    found = []
    for name, server in servers.items():
        taken = measure.median(results[name])
        found += [
            Figure(name, size / taken.wall / 1e6, "MB/s"),
            Figure(f"{name}, its processor", size / taken.background / 1e6, "MB in a second of it"),
            Figure(f"{name}, its memory", server.peak_memory() / 1e6, "MB", _MEMORY if name == _OURS else None),
        ]
    return found


def _per_processor(results: Results) -> float:
    """How many times as much processor time theirs took: the median over the pairs that stood side by side."""
    pairs: list[tuple[Taken, Taken]] = list(zip(results[_OURS], results[_THEIRS], strict=True))
    return statistics.median(theirs.background / ours.background for ours, theirs in pairs)
