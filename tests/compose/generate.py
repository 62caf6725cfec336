"""Random compose files of services with builds, variables, merges, extends and the other keys."""

import json
import random
from collections.abc import Callable
from typing import Any

_WORDS = (
    "alpine",
    "a:1",
    "x y",
    "1",
    "1.5",
    "true",
    "no",
    "${A}",
    "${N}",
    "${Q:-d}",
    "$$x",
    "a=b",
    "é",
    "",
    "-",
    "0755",
)
_NAMES = ("web", "db", "api", "job10", "job2")
_PATHS = (".", "./x", "../y", "/abs", "~/z", "a/../b")

Made = Callable[[random.Random], Any]


def drawn(count: int, seed: int | None = None) -> list[dict[str, str]]:
    """Random projects, each once: {name of the file: text}."""
    chance = random.Random(seed)
    found: dict[str, dict[str, str]] = {}
    while len(found) < count:
        files = {f"{name}.yaml": json.dumps(_file(chance)) for name in ("a", "b")[: chance.choice((1, 1, 2))]}
        if chance.random() < 0.5:
            files = {"a.yaml": json.dumps(_value(chance))}
        found[json.dumps(files)] = files
    return list(found.values())


# Parts of values with a syntax of their own, by key.
_PARTS: dict[str, tuple[str, ...]] = {
    "command": (*tuple("a b ' \" \\ $$ ; | & > < ` ( ) # \t = é \n *".split(" ")), " ", "\t", "\n", '\\"'),
    "user": (
        "$",
        "{",
        "}",
        "A",
        "U",
        ":-",
        "-",
        ":?",
        "?",
        ":+",
        "+",
        "x",
        "$$",
        "${A}",
        "${U:-",
        "}",
        "1",
        "${A",
        "_",
    ),
    "volumes": (
        "/a",
        "./b",
        "v",
        ":",
        ":",
        "ro",
        "z",
        "C",
        "~",
        "/",
        "..",
        "nocopy",
        ",",
        "rshared",
        "/./",
        "${A}",
        ".",
    ),
    "stop_grace_period": ("1", "10", "1.5", "s", "m", "h", "ms", "us", "d", "w", "ns", "-", "+", ".", "0", " ", "µs"),
    "mem_limit": ("1", "10", "1.5", "k", "m", "G", "b", "B", "i", "T", " ", ".", "0", "_"),
    "extra_hosts": ("a", "b", "=", ":", "1.2.3.4", "::1", "[::1]", ",", " ", "host"),
    "build": ("a", ".", "..", "/", "~", "://", "http", "git@", "github.com/", "docker-image", "#", "${A}", ":"),
}


def _value(chance: random.Random) -> dict[str, Any]:
    """A service with one random value, which is often wrong."""
    key = chance.choice(sorted(_PARTS))
    text = "".join(chance.choice(_PARTS[key]) for _ in range(chance.randint(1, 7)))
    value = [text] if key in ("volumes", "extra_hosts") else text
    return {"services": {"a": {"image": "a", key: value}}, "volumes": {"v": None}}


def _file(chance: random.Random) -> dict[str, Any]:
    names = chance.sample(_NAMES, chance.randint(1, 3))
    services = {name: _service(chance, names) for name in names}
    tree: dict[str, Any] = {
        "services": services,
        "volumes": {"v": None, "w": {"labels": _pairs(chance)}},
        "networks": {"n": {"labels": _pairs(chance)}, "m": None},
        "secrets": {"s": {"file": chance.choice(_PATHS)}, "t": {"environment": "A"}},
        "configs": {"c": {"content": chance.choice(_WORDS) or "x"}},
    }
    if chance.random() < 0.2:
        tree["name"] = chance.choice(("Proj", "x-${A}", "1a"))
    if chance.random() < 0.2:
        tree["x-more"] = {"b": chance.choice((1, 1.5, None, [1, "a"])), "a": chance.choice(_WORDS)}
    return tree


def _service(chance: random.Random, names: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"image": chance.choice(_WORDS) or "img"}
    for key in chance.sample(sorted(_KEYS), chance.randint(0, 7)):
        found[key] = _KEYS[key](chance)
    others = [name for name in names if name > names[0]]
    if others and chance.random() < 0.3:
        chosen = chance.sample(others, 1)
        found["depends_on"] = chosen if chance.random() < 0.5 else {chosen[0]: {"condition": "service_healthy"}}
        if chosen[0] == next(iter(chosen)) and chance.random() < 0.2:
            found["links"] = [chosen[0]]
    if chance.random() < 0.05:
        found[chance.choice(("enviroment", "x-own", "ports_"))] = 1
    return found


def _pairs(chance: random.Random) -> Any:
    keys = chance.sample(("A", "B", "K", "N", "a.b"), chance.randint(1, 3))
    if chance.random() < 0.5:
        return [key if chance.random() < 0.2 else f"{key}={chance.choice(_WORDS)}" for key in keys]
    return {key: chance.choice((*_WORDS, 1, 1.5, True, None, 1e7, 0.00001)) for key in keys}


def _some(*values: Any) -> Made:
    return lambda chance: chance.sample(values, chance.randint(1, min(2, len(values))))


def _one(*values: Any) -> Made:
    return lambda chance: chance.choice(values)


def _build(chance: random.Random) -> Any:
    if chance.random() < 0.3:
        return chance.choice(_PATHS)
    keys: dict[str, Made] = {
        "context": _one(*_PATHS, "https://example.org/x.git"),
        "dockerfile": _one("D", "sub/D"),
        "args": _pairs,
        "labels": _pairs,
        "tags": _some("a:1", "b:${A}", "a:1"),
        "platforms": _some("linux/amd64", "linux/arm64"),
        "target": _one("t", "${A}"),
        "no_cache": _one(True, "false", False),
        "pull": _one(True, "true"),
        "network": _one("host", "none"),
        "shm_size": _one("1m", 5, "2GB", "64kib"),
        "secrets": _some("s", {"source": "t", "target": "x", "mode": 288}),
        "cache_from": _some("alpine", "type=local,src=x"),
        "additional_contexts": _one({"a": "./q", "b": "docker-image://x"}, ["a=./q"]),
        "extra_hosts": _one(["a=1.1.1.1", "b:2.2.2.2"], {"a": "1.1.1.1"}),
        "ulimits": _one({"nofile": 5}, {"nofile": {"soft": 1, "hard": 2}}),
        "provenance": _one(True, "mode=max", False),
        "ssh": _one(["default"], {"default": None}),
        "x-bake": _one({"tags": ["q"]}, {"a": [1.5, {"z": 1, "y": "n"}]}),
    }
    return {key: keys[key](chance) for key in chance.sample(sorted(keys), chance.randint(1, 5))}


_KEYS: dict[str, Made] = {
    "build": _build,
    "command": _one("a 'b c' d", ["x", "y"], [], "", None),
    "entrypoint": _one('sh -c "a $$b"', ["x"], ""),
    "environment": _pairs,
    "labels": _pairs,
    "annotations": _pairs,
    "sysctls": _pairs,
    "ports": _some("80", "8080:80", 81, "127.0.0.1:1-2:3-4/udp", {"target": 5, "published": "6"}, "${N}000:7"),
    "volumes": _some("v:/v", "./a:/a:ro", "w:/v", {"type": "tmpfs", "target": "/t"}, "/anon", "~/h:/h:z"),
    "networks": _one(["n"], {"n": {"aliases": ["q"]}, "default": None}, ["n", "m"]),
    "secrets": _some("s", {"source": "t"}, {"source": "s", "target": "/x", "uid": "5"}),
    "configs": _some("c", {"source": "c", "target": "/c"}),
    "healthcheck": _one(
        {"test": "a b", "interval": "90s"}, {"test": ["CMD", "x"], "retries": "${N}"}, {"disable": True}
    ),
    "deploy": _one(
        {"replicas": 2}, {"resources": {"limits": {"cpus": "0.25", "memory": "1g"}}}, {"labels": ["a=b"]}, None
    ),
    "init": _one(True, False, "true"),
    "tty": _one(True, False),
    "restart": _one("no", "always", "on-failure:3"),
    "stop_grace_period": _one("1m30s", "0s", "1d", "1500ms"),
    "mem_limit": _one("64m", 1000, "1.5gb"),
    "cpus": _one(1.5, "0.1", 2, 1e-05),
    "pids_limit": _one(5, "7", -1),
    "dns": _one("1.1.1.1", ["8.8.8.8"]),
    "tmpfs": _one("/run", ["/a", "/b"]),
    "cap_add": _some("ALL", "CHOWN"),
    "expose": _some(80, "81"),
    "extra_hosts": _one(["a:1.1.1.1"], {"b": "::1"}),
    "logging": _one({"driver": "x"}, {"driver": "y", "options": {"a": 1}}, {"options": {"b": "2"}}),
    "ulimits": _one({"nproc": 5}, {"nofile": {"soft": 1, "hard": 2}}),
    "devices": _some("/dev/a", "/dev/b:/dev/c:r"),
    "profiles": _one([], ["p"]),
    "user": _one("1000", "${A}"),
    "gpus": _one("all", [{"count": 1}]),
    "scale": _one(1, "2"),
    "hostname": _one("h", "${A}"),
    "develop": _one({"watch": [{"path": "./a", "action": "rebuild"}]}),
}
