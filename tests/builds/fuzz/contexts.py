"""The context of a random recipe: its files, its archives and its .dockerignore."""

from tests.builds.fuzz.draws import TARGETS, Draws
from tests.builds.fuzz.recipe import Archive

_ALWAYS = ("a = a", "b = bb", "d/x = x")
_PLAIN = (
    "d/y = y",
    "d/e/z = z",
    "c.txt = c",
    "d/e/c.txt = deep",
    "empty/",
    "d/n/",
    "d/sp\\sace = s",
    "d/\\xc3\\xa9 = e",
)
_LINKS = (
    *("l -> a", "ld -> d", "d/l -> x", "d/up -> ../b", "dangling -> nowhere", "d/h == d/x", "abs -> /d", "d/g == a"),
    *("d/e/out -> ../../../a", "la -> l"),
)
_MODES = ("s 4755 = s", "d/p 0600 = p", "d/run 0755 = #!", "d/e/ 1777", "d/ 0700", "r 0000 = r")
_SOURCES = "a b d/x d . d/ * d/* ? [ab] ./a /b *.txt d/./e* d/../a */*".split()
_MEMBERS = "d/ d/x a d/e/ d/e/z l w/ w/a n/m l/x".split()
_PATTERNS = "a /a d d/x d/* * !d !d/x !a **/z **/*.txt d/e !d/e/z #a d/ !**/x ? !b */* l* ./b ** !d/e [ab]".split()


def context(draws: Draws) -> tuple[str, ...]:
    """The files, as a case writes them; the seed knows them as sources afterwards."""
    more = [*_PLAIN, *(_LINKS if draws.has("links") else ()), *(_MODES if draws.has("modes") else ())]
    lines = [*_ALWAYS, *(line for line in more if draws.chance(0.7))]
    if draws.careful:
        lines = [line for line in lines if "dangling" not in line]
    draws.sources = [*_SOURCES, *(line.split()[0] for line in lines if "\\" not in line)]
    return tuple(lines)


def archives(draws: Draws) -> tuple[Archive, ...]:
    """One archive, or two."""
    return tuple(_archive(draws, name) for name in ("t.tar", "t.tgz")[: draws.number(1, 2)])


def _archive(draws: Draws, name: str) -> Archive:
    entries = []
    names: dict[str, str] = {}
    # As `tar -C root .` writes them, and as `tar -C root *` does.
    top = "./" if draws.chance(0.4) else ""
    if top and draws.chance(0.7):
        entries.append(f"{draws.one(('0755', '0700'))} {draws.one(('0:0', '7:8'))} ./")
    for member in _MEMBERS:
        if draws.chance(0.45):
            continue
        path = top + member
        owner = draws.one(("0:0", "7:8", "1000:1000"))
        if path.endswith("/"):
            entries.append(f"{draws.one(('0755', '0700', '1777'))} {owner} {path}")
        elif draws.has("links", 0.25):
            entries.append(f"0777 {owner} {path} -> {draws.one(TARGETS)}")
        elif names and draws.has("links", 0.2):
            first = draws.one(list(names))
            entries.append(f"{names[first]} {path} == {first}")
        else:
            names[path] = f"{draws.one(('0644', '0600', '4755'))} {owner}"
            entries.append(f"{names[path]} {path} = {draws.one(('one', 'two', 'x y'))}")
    return Archive(name, tuple(entries) or ("0644 0:0 a = a",))


def ignore(draws: Draws) -> tuple[str, ...]:
    """The lines of .dockerignore."""
    return tuple(draws.one(_PATTERNS) for _ in range(draws.number(1, 4)))
