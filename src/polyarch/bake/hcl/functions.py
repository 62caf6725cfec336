"""Functions as values: their parameters, and how a call checks its arguments. `library.py` has bake's."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from polyarch.bake.hcl import types, values
from polyarch.bake.hcl.convert import ConversionError, convert
from polyarch.bake.hcl.types import HclType, ListType, SetType
from polyarch.bake.hcl.values import HclValue


class FunctionError(ValueError):
    """A call that has no result."""


class Parameter(msgspec.Struct, frozen=True):
    """One parameter. `null` says that null is a value for it."""

    name: str
    type: HclType = types.DYNAMIC
    null: bool = False


class FunctionHost(msgspec.Struct, frozen=True):
    """What functions know of this machine: the time in seconds since 1970, and the home directory of the user."""

    now: float = 0.0
    home: str = "/"


Implementation: TypeAlias = Callable[[Sequence[HclValue], FunctionHost], HclValue]


class HclFunction(msgspec.Struct, frozen=True, eq=False):
    """One function. `variadic` takes all further arguments.

    A `lazy` function is called with expressions, not values (`evaluate.py` knows those).
    """

    name: str
    call: Implementation
    parameters: tuple[Parameter, ...] = ()
    variadic: Parameter | None = None
    lazy: bool = False

    def checked(self, arguments: Sequence[HclValue]) -> list[HclValue]:
        """The arguments in the types of the parameters. Raises FunctionError."""
        self.count(len(arguments))
        found = []
        for index, value in enumerate(arguments):
            parameter = self.parameters[index] if index < len(self.parameters) else self.variadic
            assert parameter is not None
            try:
                converted = convert(value, parameter.type)
            except ConversionError as error:
                raise FunctionError(f"{parameter.name}: {error}") from None
            if converted.is_null and not parameter.null:
                raise FunctionError(f"{parameter.name} is null")
            found.append(converted)
        return found

    def count(self, given: int) -> None:
        """Raise FunctionError if the function does not take this number of arguments."""
        wanted = len(self.parameters)
        if given < wanted:
            least = " at least" if self.variadic else ""
            missing = self.parameters[given].name
            raise FunctionError(f"it takes{least} {wanted} argument{'s' * (wanted != 1)}: {missing} is missing")
        if given > wanted and self.variadic is None:
            raise FunctionError(f"it takes {wanted} argument{'s' * (wanted != 1)}, not {given}")


_TYPES: Mapping[str, HclType] = {
    "any": types.DYNAMIC,
    "string": types.STRING,
    "number": types.NUMBER,
    "bool": types.BOOL,
    "strings": ListType(types.STRING),
    "list": ListType(types.DYNAMIC),
    "set": SetType(types.DYNAMIC),
}


class FunctionTable:
    """Functions by name, filled by a decorator."""

    def __init__(self) -> None:
        self.functions: dict[str, HclFunction] = {}

    def define(self, signature: str) -> Callable[[Implementation], Implementation]:
        """Register a function. The signature is `name parameter:type …`; `*` marks a variadic one, `?` one for null."""
        name, *words = signature.split()
        parameters = [_parameter(word) for word in words]
        variadic = parameters.pop() if words and words[-1].startswith("*") else None

        def register(call: Implementation) -> Implementation:
            self.functions[name] = HclFunction(name, call, tuple(parameters), variadic)
            return call

        return register


def _parameter(word: str) -> Parameter:
    name, _, kind = word.lstrip("*").partition(":")
    return Parameter(name, _TYPES[kind.rstrip("?")], kind.endswith("?"))


def whole(value: HclValue, what: str) -> int:
    """The argument as an int. Raises FunctionError."""
    from polyarch.bake.hcl.numbers import NumberError

    try:
        found: int = value.data.integer()
    except NumberError as error:
        raise FunctionError(f"{what}: {error}") from None
    return found


def repeated(text: str, count: int) -> str:
    """The text `count` times. Raises FunctionError if that is too long."""
    if count * len(text) > values.MAX_TEXT:
        raise FunctionError(f"the result has more than {values.MAX_TEXT} characters")
    return text * max(0, count)
