"""Makes a recipe from a seed: the same one on every machine and Python."""

from collections.abc import Callable, Mapping

from tests.builds.fuzz.commands import command, mount
from tests.builds.fuzz.contexts import archives, context, ignore
from tests.builds.fuzz.draws import OWNERS, PATHS, Draws
from tests.builds.fuzz.recipe import Recipe, Stage, Step

_FILES = "a b d/x ./a /b /etc/passwd".split()
_DESTINATIONS = "/ /w/ /d/ /d /a /b /n/m/ /n/m . ./ x d/ ../u/ /w/d/ /d/e/ $D/ /$A/v/".split()
_ODD_DESTINATIONS = "/l /l/ /l/x /a/ /d/x/ /w/a/b /d/e/z".split()
_FROM = "/w /d /d/* /w/* w /d/. /*/x /etc/passwd /[abl] /w/? d/*/z /d/e* /w/d*".split()
_EXCLUDED = "a *.txt **/x d/e e * **/z !x x d".split()
_CHMODS = "600 644 755 700 4755 2755 1777 u+x go-r a=rX 0755 777 u=rwX,go=".split()
_VARIABLES = ("A", "B", "P", "D")
_VALUES = (
    *("one", "$A", "${B:-dflt}", "'$A'", '"x $B"', "${A:+yes}", "a\\ b", "${A#o}", "${A%e}", "${A/o/0}", "d", "$G"),
    *("\\$A", '""', "${A%%n*}", "${A##*n}", "${A//e/E}", "${U-unset}", "/d"),
)
_DIRECTORIES = "/w /d d /l /l/x /n/m .. . /w/d/ $A /new /a x/$A ${D:-/q}".split()
_SHELLS = ('["/bin/busybox", "sh", "-c"]', '["/bin/sh", "-c"]', '["/bin/ash", "-xc"]')
_CONFIG = (
    *('CMD ["a", "b"]', "CMD echo $A", 'ENTRYPOINT ["/a"]', "ENTRYPOINT exec x", "ENTRYPOINT []", "CMD []"),
    *("EXPOSE 80 90/udp", "EXPOSE ${P:-1}", "EXPOSE 8000-8002", "VOLUME /d", 'VOLUME ["/w", "/v"]', "VOLUME /$A"),
    *("STOPSIGNAL SIGTERM", "LABEL a=b c='d e'", "LABEL k=$A", "HEALTHCHECK NONE", "MAINTAINER me"),
    *("HEALTHCHECK --interval=5s --retries=2 CMD true", "ONBUILD RUN echo on >/on", "ONBUILD COPY a /on"),
    *("ONBUILD ENV A=on", "ONBUILD WORKDIR /on"),
)
_HEREDOCS = ("text", "\ttabbed $A", "$A ${B:-none}", "", "two\nlines\\n", "'quoted' \"$A\"")
_OPTIONS = ("arg A=cli", "arg G=global", "label cli=l", "arg B=", "label a=over")


def recipe(seed: int) -> Recipe:
    """The recipe of a seed."""
    draws = Draws(seed)
    files = context(draws)
    if draws.has("archives"):
        draws.archives = archives(draws)
    ignored = ignore(draws) if draws.has("ignore") else ()
    arguments = (f"G={draws.one(('one', 'two'))}",) if draws.has("variables", 0.5) else ()
    count = draws.number(2, 3) if draws.has("stages") else 1
    if count > 1:
        draws.features.add("from")
    for number in range(count):
        draws.stages.append(_stage(draws, number))
    options = tuple(sorted({draws.one(_OPTIONS) for _ in range(2)})) if draws.has("options") else ()
    return Recipe(f"seed {seed}", tuple(draws.stages), files, ignored, draws.archives, arguments, options)


def _stage(draws: Draws, number: int) -> Stage:
    # A stage from a stage goes on with its users and its shell.
    if draws.stages and draws.chance(0.4):
        base = draws.stage()
    else:
        base = draws.one(("scratch", "accounts", "links", "configured")) if draws.has("scratch", 0.4) else "busybox"
        draws.users = ["app"] if base == "accounts" else []
    draws.shell = _bottom(draws, base) == "busybox"
    steps = []
    if base == "busybox" and draws.chance(0.9):
        steps.append(Step("RUN", ("mkdir -p /w/d /d/e", command(draws), command(draws)), (), "; ", close="; true"))
    steps.extend(_step(draws) for _ in range(draws.number(2, 7)))
    return Stage(base, f"s{number}", tuple(steps))


def _bottom(draws: Draws, base: str) -> str:
    """The image that a stage begins from in the end."""
    bases = {stage.name: stage.base for stage in draws.stages}
    while base in bases:
        base = bases[base]
    return base


def _step(draws: Draws) -> Step:
    kinds = [(3.0, "copy"), *([(4.0, "run")] if draws.shell else []), *([(2.0, "add")] if draws.archives else [])]
    weights = {"variables": 1.5, "workdir": 1.0, "user": 0.8, "shell": 0.4, "config": 1.0, "heredoc": 1.0}
    kinds += [(weight, name) for name, weight in weights.items() if name in draws.features]
    return _MAKERS[draws.weighted(kinds)](draws)


def _copy_flags(draws: Draws) -> tuple[str, ...]:
    flags = []
    if draws.has("chown", 0.4):
        flags.append(f"--chown={draws.owner()}")
    if draws.has("chmod", 0.3):
        flags.append(f"--chmod={draws.one(_CHMODS)}")
    # BuildKit refuses it together with a name: docs/coming-from-docker.md.
    if draws.has("link", 0.4) and not any(flag.startswith("--chown") and flag[-1].isalpha() for flag in flags):
        flags.append("--link")
    return tuple(flags)


def _copy(draws: Draws) -> Step:
    flags = _copy_flags(draws)
    count = 1 if draws.chance(0.7) else 2
    word = "ADD" if draws.chance(0.15) else "COPY"
    if draws.stages and draws.has("from", 0.6):
        word, flags = "COPY", (f"--from={draws.stage() if draws.chance(0.9) else 'links'}", *flags)
        known = _FROM if draws.careful or draws.chance(0.8) else PATHS
    else:
        known = [".", "*", "d*", "[ab]*", "*/*"] if "ignore" in draws.features and draws.careful else draws.sources
    sources = [draws.one(known) for _ in range(count)]
    if draws.has("exclude", 0.5):
        flags += tuple(f"--exclude={draws.one(_EXCLUDED)}" for _ in range(draws.number(1, 2)))
        # What it means for a wildcard is another thing in BuildKit: docs/coming-from-docker.md.
        whole = "/d" if flags[0].startswith("--from") else "."
        sources = [whole if set(source) & set("*?[") else source for source in sources]
    destination = draws.one(_DESTINATIONS if draws.careful or draws.chance(0.7) else _ODD_DESTINATIONS)
    if (count > 1 or sources[0] not in _FILES) and draws.careful and destination in ("/a", "/b", "x", "/n/m"):
        destination += "/"
    if draws.chance(0.1):
        return Step(word, (*sources, destination), flags, '", "', '["', '"]', 1)
    joiner = " \\\n  " if draws.has("layout", 0.3) else " "
    return Step(word.lower() if draws.has("layout", 0.2) else word, (*sources, destination), flags, joiner, fixed=1)


def _add(draws: Draws) -> Step:
    name = draws.one([archive.name for archive in draws.archives])
    return Step("ADD", (name, draws.one(_DESTINATIONS)), _copy_flags(draws), fixed=1)


def _heredoc(draws: Draws) -> Step:
    word = "ADD" if draws.chance(0.2) else "COPY"
    name, destination = draws.one(("EOF", "'EOF'", "-EOF")), draws.one("/a /d/ /d/e /l x /n/m".split())
    body = draws.one(_HEREDOCS)
    return Step(
        word, (f"<<{name}", destination), _copy_flags(draws), close=f"\n{body}\nEOF" if body else "\nEOF", fixed=2
    )


def _variable(draws: Draws) -> Step:
    name, value = draws.one(_VARIABLES), draws.one(_VALUES)
    match draws.weighted(((3, "ARG"), (1, "ENV"), (1, "LABEL"), (3, "ENVS"), (1, "ENV and ENV"))):
        case "ARG":
            return Step("ARG", (draws.one((name, f"{name}={value}", "G")),))
        case "ENV" if " " not in value:
            return Step("ENV", (name, value), fixed=2)
        case "LABEL":
            return Step("LABEL", (f"{name}={value}", f"k.{name}=v"))
        case "ENV and ENV":
            joiner = " \\\n  # a comment\n  " if draws.has("layout") else " "
            return Step("ENV", (f"{name}={value}", f"{draws.one(_VARIABLES)}=$A-x"), joiner=joiner)
    return Step("ENV", (f"{name}={value}",))


def _workdir(draws: Draws) -> Step:
    return Step("WORKDIR", (draws.one(_DIRECTORIES),))


def _user(draws: Draws) -> Step:
    return Step("USER", (draws.one((*OWNERS[:5], *draws.users, "root", "0", "7")),))


def _shell(draws: Draws) -> Step:
    return Step("SHELL", (draws.one(_SHELLS),))


def _config(draws: Draws) -> Step:
    word, _, rest = draws.one(_CONFIG).partition(" ")
    return Step(word, (rest,))


def _run(draws: Draws) -> Step:
    parts = tuple(command(draws) for _ in range(draws.number(1, 4)))
    flags: tuple[str, ...] = ()
    if draws.has("mounts", 0.5):
        flag, commands = mount(draws)
        flags, parts = (flag,), (*commands, *parts)
    if draws.has("heredoc", 0.15):
        return Step("RUN", parts, flags, "\n", draws.one(("<<EOF\n", "<<'EOF'\n", "<<-EOF\n")), "\ntrue\nEOF")
    if draws.chance(0.1):
        escaped = tuple(part.replace("\\", "").replace('"', "'") for part in parts)
        return Step("RUN", escaped, flags, "; ", '["/bin/sh", "-c", "', '; true"]')
    joiner = draws.one(("; \\\n    ", "; \\\n  # a comment\n  ")) if draws.has("layout", 0.3) else "; "
    if not draws.careful and draws.chance(0.15):
        return Step("RUN", parts, flags, " && ")
    return Step("RUN", parts, flags, joiner, close="; true")


_MAKERS: Mapping[str, Callable[[Draws], Step]] = {
    "copy": _copy,
    "run": _run,
    "add": _add,
    "heredoc": _heredoc,
    "variables": _variable,
    "workdir": _workdir,
    "user": _user,
    "shell": _shell,
    "config": _config,
}
