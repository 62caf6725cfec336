"""Who may do what with which repositories of the server: values, and the Protocol of what decides.

An `AccessControl` says from the Authorization header of a request what its client may do. The rules of one client are
`ClientRights`; `authentication/` has the implementations.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

import msgspec

Action = Literal["pull", "push", "delete"]
ACTIONS: tuple[Action, ...] = ("pull", "push", "delete")
# The resource and the action of a token that lists the repositories (distribution, "Token Scope Documentation").
CATALOG = ("registry:catalog", "*")

_COMPONENT = r"[a-z0-9*]+(?:(?:\.|_|__|-+)[a-z0-9*]+)*"
_PATTERN = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")


class AccessRule(msgspec.Struct, frozen=True):
    """Actions on the repositories of a pattern. In it, `*` stands for any text in one component of a path, and `**` as
    a whole component for any number of components: `team/**` is everything below team, and not team itself.
    """

    pattern: str
    actions: frozenset[Action]

    def matches(self, repository: str) -> bool:
        """Whether the repository is one of the pattern's."""
        return _matches(self.pattern.split("/"), repository.split("/"))


class ClientRights(msgspec.Struct, frozen=True, kw_only=True):
    """What one client may do. Without rules it may do nothing.

    `account` is the name that it has proven, empty for an anonymous client. `scope` is what the client asked for with
    its bearer token, as pairs of a resource and an action; None if it did not use one. A token allows nothing that was
    not asked for, even if the account may do it: a program that gets a token for one repository cannot use another.
    """

    rules: tuple[AccessRule, ...] = ()
    account: str = ""
    scope: frozenset[tuple[str, str]] | None = None

    @property
    def all_alike(self) -> bool:
        """Whether the rights are the same for every repository, so that a blob is one that the client may read,
        whichever repository it belongs to.
        """
        return self.scope is None and any(rule.pattern == "**" and rule.actions >= set(ACTIONS) for rule in self.rules)

    def allows(self, repository: str, action: Action, path: str = "") -> bool:
        """Whether the action is allowed. `path` is the repository's name in the request if that is another one: the
        `library/debian` that containerd asks a mirror of docker.io for.
        """
        return self.may(repository, action) and self.is_asked(path or repository, action)

    def may(self, repository: str, action: Action) -> bool:
        """Whether the account may do it, whatever its token is for."""
        return any(action in rule.actions and rule.matches(repository) for rule in self.rules)

    def is_asked(self, path: str, action: Action) -> bool:
        """Whether the client's token is for this action. skopeo asks for `*` before it deletes."""
        if self.scope is None:
            return True
        return not self.scope.isdisjoint({(f"repository:{path}", action), (f"repository:{path}", "*")})

    @property
    def lists(self) -> bool:
        """Whether the client may ask for the catalog. It has only the repositories that the client may pull."""
        return bool(self.rules) and (self.scope is None or CATALOG in self.scope)


EVERYTHING = ClientRights(rules=(AccessRule("**", frozenset(ACTIONS)),))
NOTHING = ClientRights()


class AccessRefusal(msgspec.Struct, frozen=True):
    """Credentials that count for nothing, or cannot be checked now: the status of the response and the reason."""

    status: int
    reason: str


class AccessControl(Protocol):
    """What decides about requests. All methods may be called by many tasks of one event loop at once."""

    async def rights(self, authorization: str) -> ClientRights | AccessRefusal:
        """What a client with this Authorization header may do. An empty header is an anonymous client."""

    def challenge(self, base: str, scope: str = "") -> str:
        """The WWW-Authenticate header of a 401. `base` is the server's URL as the client has it, `scope` what the
        request needs.
        """

    def page_challenge(self) -> str:
        """The same for a browser, which knows only names and passwords."""


def pattern(text: str) -> str:
    """`text` if it is a pattern of repositories. Raises ValueError."""
    if not _PATTERN.fullmatch(text) or any("**" in part and part != "**" for part in text.split("/")):
        raise ValueError(
            f"{text!r} is not a pattern of repositories; expected lower-case components with * in them, as in team/*, "
            "or ** for a whole component, as in team/**"
        )
    return text


def actions(names: Iterable[str]) -> frozenset[Action]:
    """The actions of these names. Who may push may also pull, because a push looks for what is there. Raises
    ValueError.
    """
    found: set[Action] = set()
    for name in names:
        match = next((action for action in ACTIONS if action == name), None)
        if match is None:
            raise ValueError(f"{name!r} is none of {', '.join(ACTIONS)}")
        found.add(match)
    return frozenset(found | {"pull"}) if "push" in found else frozenset(found)


def rules(permissions: Mapping[str, Iterable[str]]) -> tuple[AccessRule, ...]:
    """The rules of a mapping from patterns to the names of actions. Raises ValueError."""
    return tuple(AccessRule(pattern(text), actions(names)) for text, names in permissions.items())


def _matches(pattern: list[str], path: list[str]) -> bool:
    """Compare component by component. `reached` has the positions in the pattern that the path so far can lead to, so
    that no pattern takes more than its length times that of the path.
    """
    reached = _skipped({0}, pattern)
    for component in path:
        following = {at for at in reached if at < len(pattern) and pattern[at] == "**"}
        following |= {at + 1 for at in following}
        following |= {at + 1 for at in reached if at < len(pattern) and _fits(pattern[at], component)}
        reached = _skipped(following, pattern) if following else set()
    return len(pattern) in reached


def _skipped(reached: set[int], pattern: list[str]) -> set[int]:
    """A `**` that is not the last component also stands for no component."""
    found = set(reached)
    for at in range(len(pattern) - 1):
        if at in found and pattern[at] == "**":
            found.add(at + 1)
    return found


def _fits(pattern: str, component: str) -> bool:
    """Whether a component fits a pattern with `*`, in time proportional to its length for each part."""
    first, *others = pattern.split("*")
    if not others:
        return pattern == component
    last = others.pop()
    if not component.startswith(first) or len(component) < len(first) + len(last) or not component.endswith(last):
        return False
    at, end = len(first), len(component) - len(last)
    for part in others:
        found = component.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
