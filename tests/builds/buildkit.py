"""`make witness`: builds every case of the table with BuildKit too, and prints the differences.

python -m tests.builds.buildkit [WORD…]

It needs root, because scripts/buildkit_daemon.py does. Compared are the files of the image and of each layer with
modes, owners, links and content; the config; the history; the warnings; of errors, that there is one, and the words
that the case asks for. Times and digests are not.
"""

import argparse
import contextlib
import json
import posixpath
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from polyarch.dockerfile.rules import RULES
from scripts import buildkit_daemon, local_registry
from scripts.buildkit_daemon import BuildKitDaemon
from tests import bases, trees
from tests.builds import differing
from tests.builds.cases import BASES, HERE, Case, everything, options_of, read
from tests.builds.conftest import Worker
from tests.builds.images import File, Image
from tests.program import Program

_WARNING = re.compile(r"^#\d+ WARN: (.*) \(line (\d+)\)$", re.MULTILINE)
_OUR_WARNING = re.compile(r"(\w+: .*) \(Dockerfile:(\d+)\)", re.DOTALL)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# What this BuildKit cannot show: flags that the language has got since, what its daemon's configuration forbids, and,
# before Linux 6.7, a RUN that needs a second emulated process.
_BEYOND = ("unknown flag: --parents", "unknown flag: --security", "by build daemon configuration", "Exec format error")


class Built(NamedTuple):
    """The result of a case: images by platform, or an error's text; and the warnings, with their lines."""

    images: dict[str, Image]
    error: str
    warnings: set[tuple[str, int]]


class Witness(NamedTuple):
    """The two builders: this one in a separate process, and BuildKit; `emulating` is another, for foreign RUNs.

    The second runs in a user namespace, where files of a context lose their setuid bits, so it builds only some cases.
    """

    worker: Worker
    daemon: BuildKitDaemon
    emulating: BuildKitDaemon


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.builds.buildkit")
    parser.add_argument("word", nargs="*", help="the cases whose titles have all these words (default: every case)")
    chosen = parser.parse_args(arguments)
    cases = [case for case in everything() if case.file != BASES and all(word in str(case) for word in chosen.word)]
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="polyarch-witness-") as scratch, witness(Path(scratch)) as found:
        print(", ".join(f"{name} {version}" for name, version in found.daemon.versions().items()), flush=True)
        for case in cases:
            verdict, lines = _judge(case, found, Path(scratch))
            counts[verdict] += 1
            if verdict != "alike":
                print("\n".join((f"{verdict}: {case}", *(f"  {line}" for line in lines))), flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    return 1 if counts["DIFFERENT"] else 0


@contextlib.contextmanager
def witness(directory: Path) -> Iterator[Witness]:
    """Both builders with the base images of the cases, in the builder's store and in a registry for BuildKit."""
    with local_registry.running(directory / "registry") as registry:
        worker = _worker(directory, registry.address)
        try:
            with (
                buildkit_daemon.running(mirror=registry.url) as daemon,
                buildkit_daemon.running(mirror=registry.url, emulating=True) as emulating,
            ):
                yield Witness(worker, daemon, emulating)
        finally:
            worker.close()


def _judge(case: Case, both: Witness, directory: Path) -> tuple[str, list[str]]:
    """`alike`; or `DIFFERENT`, `different, as said` or `beyond this BuildKit`, and the lines that say how."""
    with tempfile.TemporaryDirectory(dir=directory) as place:
        options = options_of(case, Path(place))
        # See _BEYOND: what is emulated can start no further process.
        if not both.emulating.emulates and case.file == "run" and "linux/amd64" in options["platforms"]:
            options["platforms"] = ["linux/amd64"]
        daemon = both.emulating if case.file == "run" else both.daemon
        ours, theirs = build_here(options, both.worker), build_there(options, daemon, Path(place))
        lines = list(differences(ours, theirs, case.section("error") or ""))
    said = case.section("buildkit")
    if said is not None:
        if not lines:
            return "DIFFERENT", [f"BuildKit does the same, where it is said that it {said.strip()}"]
        return "different, as said", [said.strip()]
    beyond = [words for words in _BEYOND if words in theirs.error]
    if beyond:
        return "beyond this BuildKit", beyond
    return ("DIFFERENT", lines) if lines else ("alike", [])


def _worker(directory: Path, registry: str) -> Worker:
    """A builder with the base images of the cases, which it pushes to the registry."""
    polyarch = Program(directory / "store", directory)
    bases.import_busybox(polyarch)
    worker = Worker(directory / "store")
    names = ["busybox"]
    for case in read(HERE / f"{BASES}.txt"):
        worker.images(**options_of(case, directory / case.title), tags=[case.title])
        names.append(case.title)
    for name in names:
        polyarch("tag", name, f"{registry}/library/{name}:latest")
        polyarch("push", f"{registry}/library/{name}:latest")
    return worker


def differences(ours: Built, theirs: Built, words: str = "") -> Iterator[str]:
    """What differs: + is ours alone, - BuildKit's alone. The lines of `words`, but for places, must be in its error."""
    if ours.error or theirs.error:
        if not theirs.error:
            yield f"error: ours says {ours.error!r}, BuildKit builds it"
        elif not ours.error:
            yield f"error: ours builds it, BuildKit says {theirs.error!r}"
        else:
            said = theirs.error.lower().replace("-", "_")
            wanted = [line for line in words.splitlines() if not line.startswith(("Dockerfile:", "."))]
            missing = [line for line in wanted if line.lower().replace("-", "_") not in said]
            yield from (f"message: + {line} - {theirs.error!r}" for line in missing)
        return
    yield from differing.lines(
        "warning", *([f"{text} ({line})" for text, line in sorted(b.warnings)] for b in (ours, theirs))
    )
    if ours.images.keys() != theirs.images.keys():
        yield f"platforms: + {sorted(ours.images)} - {sorted(theirs.images)}"
    for platform in ours.images.keys() & theirs.images.keys():
        for line in _image(ours.images[platform], theirs.images[platform]):
            yield f"{platform} {line}"


def _image(ours: Image, theirs: Image) -> Iterator[str]:
    """What differs: + is ours alone, - BuildKit's alone."""
    yield from differing.settings(ours.config, theirs.config)
    yield from differing.lines("history", _history(ours), _history(theirs))
    yield from differing.lines("file", _entries(ours.files()), _entries(theirs.files()))
    if len(ours.layers) != len(theirs.layers):
        yield f"layers: + {len(ours.layers)} - {len(theirs.layers)}"
        return
    for number, (one, other) in enumerate(zip(ours.layers, theirs.layers, strict=True)):
        yield from differing.lines(
            f"layer {number}", _entries(dict(sorted(one.items()))), _entries(dict(sorted(other.items())))
        )


def _history(image: Image) -> list[str]:
    """A line for each, its comment behind it."""
    comments = [line.get("comment", "") for line in image.config.get("history") or ()]
    return [f"{line} ({comment})" for line, comment in zip(image.history(), comments, strict=True)]


def _entries(files: dict[str, File]) -> list[str]:
    """One line per entry, without deletions: those have two encodings, and show in the remaining files."""
    lines = [file.line(path) for path, file in files.items() if not posixpath.basename(path).startswith(".wh.")]
    return [_UUID.sub("UUID", line) for line in lines]


def build_here(options: dict[str, Any], worker: Worker) -> Built:
    """The result of this builder."""
    outcome = worker.build(**options)
    found = (_OUR_WARNING.fullmatch(said) for said in outcome["warnings"])
    # Checks that BuildKit does not have are not compared.
    own = tuple(f"{rule.name}: " for rule in RULES if rule.ours)
    warnings = {(match[1], int(match[2])) for match in found if match and not match[1].startswith(own)}
    images = {platform: worker.image(digest) for platform, digest in outcome.get("images", {}).items()}
    return Built(images, outcome.get("error", "") and f"{outcome['error']}\n{outcome['output']}", warnings)


def build_there(options: dict[str, Any], daemon: BuildKitDaemon, directory: Path) -> Built:
    """The result of BuildKit, through an archive in the directory."""
    target = directory / "theirs.tar"
    words = ["build", "--progress=plain", "--provenance=false", "--network=host", f"--output=type=oci,dest={target}"]
    words += [f"--platform={','.join(options['platforms'])}"]
    words += [f"--build-arg={name}={value}" for name, value in options.get("build_args", {}).items()]
    words += [f"--label={name}={value}" for name, value in options.get("labels", {}).items()]
    words += [f"--build-context={name}={value}" for name, value in options.get("contexts", {}).items()]
    words += [f"--add-host={name}={address}" for name, address in options.get("hosts", {}).items()]
    words += [f"--allow={what}" for what in options.get("allow", ())]
    words += [f"--target={options['target']}"] if "target" in options else []
    environment = {**daemon.environment, "PATH": "/usr/bin:/bin", "HOME": str(directory)}
    for name, value in options.get("secrets", {}).items():
        (directory / f"secret-{name}").write_text(value)
        words.append(f"--secret=id={name},src={directory}/secret-{name}")
    if "epoch" in options:
        environment["SOURCE_DATE_EPOCH"] = str(options["epoch"])
    done = subprocess.run(
        daemon.buildx(*words, options["context"]),
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    warnings = {(text, int(line)) for text, line in _WARNING.findall(done.stderr)}
    if done.returncode:
        error = done.stderr[done.stderr.find("\n------\n") :] if "\n------\n" in done.stderr else done.stderr
        return Built({}, error or "?", warnings)
    layout = trees.unpack(target, directory / "theirs")
    return Built(dict(_images(layout)), "", warnings)


def _images(layout: Path) -> Iterator[tuple[str, Image]]:
    """The images of a layout by their platforms."""
    pending = json.loads((layout / "index.json").read_text())["manifests"]
    while pending:
        digest = pending.pop()["digest"]
        known = json.loads((layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_text())
        if "manifests" in known:
            pending += known["manifests"]
        else:
            image = Image(layout, digest)
            parts = (image.config["os"], image.config["architecture"], image.config.get("variant"))
            yield "/".join(part for part in parts if part), image


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
