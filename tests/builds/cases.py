"""Reads the cases of the table: text files in `cases/`, several cases each. `cases/README.md` describes the format."""

import gzip
import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent / "cases"

# The file of the base images; the title of each case is the image's name.
BASES = "bases"

_MEMBER = re.compile(
    r"(?P<mode>[0-7]{4}) (?P<uid>\d+):(?P<gid>\d+) (?P<path>\S+)(?: (?P<sign>=|->|==)(?: (?P<rest>.*))?)?"
)
_ENTRY = re.compile(r"(?P<path>\S+?)(?: (?P<mode>[0-7]{4}))?(?: (?P<sign>=|->|==)(?: (?P<rest>.*))?)?")


class Case(NamedTuple):
    """One case: its title, and its sections by their names."""

    file: str
    title: str
    sections: dict[str, str]

    def __str__(self) -> str:
        return f"{self.file}: {self.title}"

    def section(self, name: str, platform: str = "") -> str | None:
        """A section, preferring one for the platform, with the platform's placeholders replaced."""
        found = self.sections.get(f"{name} {platform}", self.sections.get(name))
        if found is None or not platform:
            return found
        return found.replace("{platform}", platform).replace("{arch}", platform.split("/")[1])

    def options(self) -> Iterator[tuple[str, str]]:
        """The lines of `options`: (word, value)."""
        for line in self.sections.get("options", "").splitlines():
            word, _, value = line.partition(" ")
            yield word, value

    @property
    def platforms(self) -> list[str]:
        return dict(self.options()).get("platforms", "linux/amd64 linux/arm64").split()

    @property
    def runs(self) -> bool:
        """Whether a process is run for it."""
        return re.search(r"^\s*(ONBUILD )?RUN\b", self.sections["Dockerfile"], re.MULTILINE | re.IGNORECASE) is not None


def read(file: Path) -> list[Case]:
    """The cases of a file."""
    cases: list[Case] = []
    sections: dict[str, list[str]] = {}
    name = ""
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if line.startswith("=== "):
            sections, name = {}, ""
            cases.append(Case(file.stem, line.removeprefix("=== "), sections))  # type: ignore[arg-type]
        elif line.startswith("--- "):
            name = line.removeprefix("--- ")
            assert name not in sections, f"{file.name}:{number}: {name} stands here twice"
            sections[name] = []
        elif name:
            sections[name].append(line)
        else:
            assert not line or line.startswith("#"), f"{file.name}:{number}: a line outside of a section"
    return [
        Case(case.file, case.title, {key: _joined(lines) for key, lines in case.sections.items()}) for case in cases
    ]


def everything() -> list[Case]:
    """All cases of all files."""
    return [case for file in sorted(HERE.glob("*.txt")) for case in read(file)]


def options_of(case: Case, directory: Path) -> dict[str, Any]:
    """The options of a case, as keywords of `polyarch.build`."""
    context = write_context(directory / "context", case.section("context") or "")
    (context / "Dockerfile").write_bytes(case.sections["Dockerfile"].encode("utf-8", "surrogateescape"))
    options: dict[str, Any] = {"context": str(context), "platforms": case.platforms}
    for word, value in case.options():
        name, _, rest = value.partition("=")
        match word:
            case "arg":
                options.setdefault("build_args", {})[name] = rest
            case "label":
                options.setdefault("labels", {})[name] = rest
            case "secret":
                options.setdefault("secrets", {})[name] = rest
            case "context":
                named = rest if "://" in rest else str(directory / rest)
                options.setdefault("contexts", {})[name] = named
            case "host":
                options.setdefault("hosts", {})[name] = rest
            case "allow":
                options.setdefault("allow", []).append(value)
            case "target" | "network":
                options[word] = value
            case "epoch":
                options[word] = int(value)
            case "allow_foreign_base" | "reproducible":
                options[word] = True
            case "platforms":
                pass
            case _:
                raise AssertionError(f"no such option: {word}")
    for name, text in case.sections.items():
        if name.startswith("context "):
            write_context(directory / name.removeprefix("context "), text)
        elif name.startswith("archive "):
            write_archive(context / name.removeprefix("archive "), text)
    return options


def write_context(directory: Path, text: str) -> Path:
    """Make the files that a `context` section describes."""
    directory.mkdir(parents=True, exist_ok=True)
    modes: list[tuple[Path, int]] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        match = _ENTRY.fullmatch(line)
        assert match is not None, f"not an entry: {line}"
        path = directory / unescaped(match["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        rest = match["rest"] or ""
        if match["sign"] == "->":
            path.symlink_to(unescaped(rest))
        elif match["sign"] == "==":
            path.hardlink_to(directory / unescaped(rest))
        elif match["path"].endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(unescaped(rest).encode("utf-8", "surrogateescape"))
            path.chmod(0o644)
        if match["mode"]:
            modes.append((path, int(match["mode"], 8)))
    for path, mode in reversed(modes):
        path.chmod(mode)
    return directory


def write_archive(file: Path, text: str) -> None:
    """Make the tar that an `archive` section describes; gzipped where its name ends in gz."""
    raw = io.BytesIO()
    times: dict[str, int] = {}
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for number, line in enumerate(text.splitlines()):
            match = _MEMBER.fullmatch(line)
            assert match is not None, f"not an entry: {line}"
            member = tarfile.TarInfo(unescaped(match["path"]))
            member.mode, member.uid, member.gid = int(match["mode"], 8), int(match["uid"]), int(match["gid"])
            rest = unescaped(match["rest"] or "")
            # All names of a file have its time, as every archiver writes them.
            member.mtime = times.get(rest if match["sign"] == "==" else "", 1_000_000_000 + number)
            times[member.name] = int(member.mtime)
            if match["sign"] in ("->", "=="):
                member.type = tarfile.SYMTYPE if match["sign"] == "->" else tarfile.LNKTYPE
                member.linkname = rest
            elif match["path"].endswith("/"):
                member.type = tarfile.DIRTYPE
            content = rest.encode("utf-8", "surrogateescape") if member.isreg() else b""
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    file.write_bytes(gzip.compress(raw.getvalue(), mtime=0) if file.name.endswith("gz") else raw.getvalue())


def unescaped(text: str) -> str:
    r"""Text with `\n`, `\t`, `\s` (a space) and `\xff` in place."""
    raw = re.sub(rb"\\(n|t|s|\\|x[0-9a-f]{2})", _escape, text.encode())
    return raw.decode("utf-8", "surrogateescape")


def escaped(text: str) -> str:
    """The other way."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace(" ", "\\s")
    raw = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if 32 < byte < 127 else f"\\x{byte:02x}" for byte in raw)


def _escape(match: "re.Match[bytes]") -> bytes:
    word = match[1]
    return (
        bytes([int(word[1:], 16)]) if word.startswith(b"x") else {b"n": b"\n", b"t": b"\t", b"s": b" "}.get(word, b"\\")
    )


def _joined(lines: list[str]) -> str:
    while lines and not lines[-1]:
        lines.pop()
    return "".join(line + "\n" for line in lines)
