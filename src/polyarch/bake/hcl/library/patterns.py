"""Regular expressions."""

from collections.abc import Sequence
from functools import lru_cache

from polyarch.bake.hcl import types, values
from polyarch.bake.hcl.functions import FunctionError, FunctionHost, FunctionTable, repeated
from polyarch.bake.hcl.regex.machine import Match, Regex, TooManyStepsError
from polyarch.bake.hcl.regex.patterns import PatternError
from polyarch.bake.hcl.types import HclType
from polyarch.bake.hcl.values import HclValue

TABLE = FunctionTable()


@lru_cache(maxsize=64)
def _compiled(text: str) -> Regex:
    try:
        return Regex(text)
    except PatternError as error:
        raise FunctionError(f"the pattern {text[:60]!r}: {error}") from None


def _captures(pattern: HclValue) -> tuple[Regex, HclType]:
    """A pattern, and the type of a match: the text, or a tuple or object of what is captured."""
    regex = _compiled(pattern.data)
    if not regex.names:
        return regex, types.STRING
    if not any(regex.names):
        return regex, types.TupleType((types.STRING,) * len(regex.names))
    if not all(regex.names):
        raise FunctionError("the pattern has captures with and without names")
    return regex, types.object_type(dict.fromkeys(regex.names, types.STRING))


def _result(regex: Regex, found: Match, text: str) -> HclValue:
    captured = [
        values.null(types.STRING) if found[at] < 0 else values.text(text[found[at] : found[at + 1]])
        for at in range(0, len(found), 2)
    ]
    if not regex.names:
        return captured[0]
    if regex.names[0]:
        return values.object_of(dict(zip(regex.names, captured[1:], strict=True)))
    return values.tuple_of(captured[1:])


@TABLE.define("regex pattern:string string:string")
def _regex(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    regex, _kind = _captures(given[0])
    try:
        found = regex.find(given[1].data)
    except TooManyStepsError as error:
        raise FunctionError(str(error)) from None
    if found is None:
        raise FunctionError("the pattern does not match any part of the text")
    return _result(regex, found, given[1].data)


@TABLE.define("regexall pattern:string string:string")
def _regexall(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    regex, kind = _captures(given[0])
    try:
        found = [_result(regex, one, given[1].data) for one in regex.find_all(given[1].data)]
    except TooManyStepsError as error:
        raise FunctionError(str(error)) from None
    return values.list_of(kind, found)


@TABLE.define("regex_replace str:string pattern:string replace:string")
def _regex_replace(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    text, template = given[0].data, given[2].data
    # The most that can come out: a replacement at each letter, with every capture in it.
    repeated(" ", len(text) + (len(text) + 1) * len(template))
    try:
        return values.text(_compiled(given[1].data).replace(text, template))
    except TooManyStepsError as error:
        raise FunctionError(str(error)) from None
