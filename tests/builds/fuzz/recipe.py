"""A random build as plain values: stages of steps, the files of the context, its ignore file, archives.

Every part is a separate value, so that the shrinker can remove any of them.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.builds.cases import Case, escaped

_ENTRY = re.compile(r"(?:\d{4} \d+:\d+ )?(\S+)(?: \d{4})?(?: (=|->|==) (.*))?")


class Step(NamedTuple):
    """One instruction: `WORD FLAGS OPEN part JOINER part CLOSE`."""

    word: str
    parts: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    joiner: str = " "
    open: str = ""
    close: str = ""
    fixed: int = 0  # the last parts, which must stay: a copy's destination

    def text(self) -> str:
        return " ".join((self.word, *self.flags, f"{self.open}{self.joiner.join(self.parts)}{self.close}"))

    def smaller(self) -> Iterator["Step"]:
        """The step without one of its flags, or one of its parts."""
        for number in range(len(self.flags)):
            yield self._replace(flags=self.flags[:number] + self.flags[number + 1 :])
        removable = len(self.parts) - self.fixed
        if removable > 1:
            for number in range(removable):
                yield self._replace(parts=self.parts[:number] + self.parts[number + 1 :])


class Stage(NamedTuple):
    """A stage: `FROM base AS name`, and its steps."""

    base: str
    name: str
    steps: tuple[Step, ...]

    def text(self) -> str:
        return "\n".join((f"FROM {self.base} AS {self.name}", *(step.text() for step in self.steps)))


class Archive(NamedTuple):
    """An archive in the context; its entries are lines as an image has them."""

    name: str
    entries: tuple[str, ...]


class Recipe(NamedTuple):
    """All of a build."""

    title: str
    stages: tuple[Stage, ...]
    context: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    archives: tuple[Archive, ...] = ()
    arguments: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def dockerfile(self) -> str:
        head = "".join(f"ARG {argument}\n" for argument in self.arguments)
        return head + "\n".join(stage.text() for stage in self.stages) + "\n"

    def without_line(self, line: int) -> "Recipe":
        """Without the instruction that has this line of the Dockerfile (a FROM goes with all of its stage)."""
        at = len(self.arguments)
        stages = []
        for stage in self.stages:
            at += 1
            if at == line:
                at += sum(step.text().count("\n") + 1 for step in stage.steps)
                continue
            kept = []
            for step in stage.steps:
                first, at = at + 1, at + step.text().count("\n") + 1
                if not first <= line <= at:
                    kept.append(step)
            stages.append(stage._replace(steps=tuple(kept)))
        return self._replace(stages=tuple(stages))

    def case(self) -> Case:
        """As a case of the table."""
        context = list(self.context)
        if self.ignore:
            text = "".join(f"{line}\n" for line in self.ignore)
            context.append(f".dockerignore = {escaped(text)}")
        options = "".join(f"{line}\n" for line in ("platforms linux/amd64", *self.options))
        sections = {"options": options, "Dockerfile": self.dockerfile()}
        sections["context"] = "".join(f"{line}\n" for line in context)
        for archive in self.archives:
            sections[f"archive {archive.name}"] = "".join(f"{line}\n" for line in archive.entries)
        return Case("fuzz", self.title, sections)

    def text(self) -> str:
        """To be pasted into a file of `cases/`."""
        lines = [f"=== {self.title}\n"]
        lines += [f"--- {name}\n{text}" for name, text in self.case().sections.items() if text]
        return "".join(lines)

    def is_sound(self) -> bool:
        """Whether each hard link, of the context and of the archives, has its file before it."""
        for lines in (self.context, *(archive.entries for archive in self.archives)):
            known: set[str] = set()
            for line in lines:
                match = _ENTRY.fullmatch(line)
                assert match is not None, line
                name, sign, target = match.groups()
                if sign == "==" and target not in known:
                    return False
                known.add(name)
        return True
