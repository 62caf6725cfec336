"""--emulated-cpu and --emulator, and the emulators of the configuration."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.buildflags import emulation
from polyarch.client import configuration
from polyarch.errors import PolyarchError, UsageError
from polyarch.oci.platform import parse

_HOST = parse("linux/amd64")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ()),
        ("max", (("", "max"),)),
        ("linux/arm64=cortex-a72", (("linux/arm64", "cortex-a72"),)),
        ("linux/arm=cortex-a9", (("linux/arm/v7", "cortex-a9"),)),
        ("rv64,zba=off", (("", "rv64,zba=off"),)),
        ("linux/riscv64=rv64,zba=off,v=on", (("linux/riscv64", "rv64,zba=off,v=on"),)),
        ({"linux/arm64": "max", "s390x": "z14"}, (("linux/arm64", "max"), ("linux/s390x", "z14"))),
        (["max", "linux/arm64=default"], (("", "max"), ("linux/arm64", "default"))),
    ],
)
def test_processors(value: object, expected: object) -> None:
    assert emulation.processors(value) == expected


@pytest.mark.parametrize(
    "value", ["", "linux/arm64=", "=max", "a b", "-cpu", "max,", "linux/nothing=max", "x" * 201, 5]
)
def test_other_values_are_usage_errors(value: Any) -> None:
    with pytest.raises(UsageError):
        emulation.processors(value)


@given(st.text(max_size=40))
def test_any_text_gives_pairs_or_a_usage_error(text: str) -> None:
    try:
        ((platform, model),) = emulation.processors(text)
    except UsageError:
        return
    assert emulation.processors(f"{platform}={model}" if platform else model) == ((platform, model),)


def test_emulators_are_absolute_and_belong_to_an_architecture() -> None:
    values = ["linux/arm/v6=qemu-arm", "linux/arm64=/opt/a=b"]
    assert emulation.emulators(values, Path("/work"), _HOST) == (("arm", "/work/qemu-arm"), ("arm64", "/opt/a=b"))
    assert emulation.emulators({"s390x": "/q"}, Path("/"), _HOST) == (("s390x", "/q"),)


@pytest.mark.parametrize("value", ["", "linux/arm64", "linux/arm64=", "=/opt/q", "linux/nothing=/q", "linux/amd64=/q"])
def test_an_emulator_needs_a_foreign_platform_and_a_file(value: str) -> None:
    with pytest.raises(UsageError):
        emulation.emulators(value, Path("/"), _HOST)


def _configured(tmp_path: Path, text: str) -> tuple[tuple[str, str], ...]:
    (tmp_path / "config.toml").write_text(text)
    return configuration.emulators([tmp_path / "absent.toml", tmp_path / "config.toml"])


def test_the_configuration_names_emulators(tmp_path: Path) -> None:
    text = 'cache_limit = "1GB"\n[emulators]\n"linux/arm64" = "/opt/q"\narm = "/opt/arm"\n'
    assert _configured(tmp_path, text) == (("arm64", "/opt/q"), ("arm", "/opt/arm"))
    assert _configured(tmp_path, 'cache_limit = "1GB"\n') == ()
    assert configuration.emulators([tmp_path / "absent.toml"]) == ()


@pytest.mark.parametrize(
    "text",
    [
        "emulators = 1",
        '[emulators]\n"linux/arm64" = "relative"',
        '[emulators]\n"linux/arm64" = 5',
        '[emulators]\n"linux/nothing" = "/q"',
        "[emulator]",
        "[emulators",
    ],
)
def test_a_mistake_in_the_configuration_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(PolyarchError):
        _configured(tmp_path, text)
