"""Settings of RUN: how far a new one reaches, and what of it is in keys, on the wire and in the step's process."""

import re
from pathlib import Path

import msgspec
import pytest

import polyarch
from polyarch.builder import encoding
from polyarch.builder.perform.environment import StepSettings
from polyarch.builder.request.secrets import Secrets
from polyarch.layers.compression import Compression
from polyarch.oci.platform import parse
from polyarch.sandbox.settings import RunSettings
from polyarch.secret import SecretBytes, Variables


@pytest.mark.parametrize("words", ["shm[_-]size", "ulimits?"])
def test_a_setting_of_RUN_is_in_four_files(words: str) -> None:
    """An option of the command line, its parser, the setting, and what the sandbox makes of it."""
    source = Path(polyarch.__file__).parent
    found = {str(file.relative_to(source)) for file in source.rglob("*.py") if re.search(words, file.read_text())}
    # A hint about the limit on this program's own files. And bake's and compose's languages, which name every option.
    # Nor flags of docker run, which are no part of a build, and what a probe of an emulator asks for.
    others = {"cli/explained.py", "cli/docker_flags.py", "cli/run_flags.py", "cli/run_options.py"}
    others.add("sandbox/probing/probes.py")
    found = {name for name in found - others if not name.startswith(("bake/", "compose/"))}
    assert found == {"buildflags/run.py", "cli/commands/build.py", "sandbox/settings.py", "sandbox/spec.py"}


def test_a_default_is_not_part_of_a_cache_key() -> None:
    assert encoding.to_json(RunSettings()) == b"{}"
    assert encoding.to_json(RunSettings(shm_size=5)) == b'{"shm_size":5}'


def test_what_steps_are_told_can_be_sent_to_another_process() -> None:
    settings = StepSettings(
        created="2026-01-01T00:00:00Z",
        search_path="/bin",
        compression=Compression(),
        secrets=Secrets(
            {"a": SecretBytes(b"\xff")}, {"default": "/s"}, {parse("linux/arm64"): {"a": SecretBytes(b"")}}
        ),
        proxies=Variables({"HTTP_PROXY": "p"}),
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(settings), type=StepSettings) == settings
