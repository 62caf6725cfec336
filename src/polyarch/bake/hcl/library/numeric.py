"""Numbers, comparisons and logic."""

import math
from collections.abc import Sequence

from polyarch.bake.hcl import numbers, operators, types, values
from polyarch.bake.hcl.functions import FunctionError, FunctionHost, FunctionTable, whole
from polyarch.bake.hcl.numbers import BigFloat
from polyarch.bake.hcl.values import HclValue

TABLE = FunctionTable()
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MAX_DIGITS = 4000
_RANGE = 1024


def _operator(name: str, signature: str, operator: str) -> None:
    @TABLE.define(f"{name} {signature}")
    def call(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
        return operators.binary(operator, given[0], given[1])


for _name, _sign in {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "modulo": "%"}.items():
    _operator(_name, "a:number b:number", _sign)
for _name, _sign in {"greaterthan": ">", "lessthan": "<"}.items():
    _operator(_name, "a:number b:number", _sign)
    _operator(f"{_name}orequalto", "a:number b:number", f"{_sign}=")
for _name, _sign in {"and": "&&", "or": "||"}.items():
    _operator(_name, "a:bool b:bool", _sign)
for _name, _sign in {"equal": "==", "notequal": "!="}.items():
    _operator(_name, "a:any? b:any?", _sign)


@TABLE.define("not val:bool")
def _not(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.boolean(not given[0].data)


@TABLE.define("absolute num:number")
def _absolute(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.number(abs(given[0].data))


@TABLE.define("negate num:number")
def _negate(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.number(-given[0].data)


@TABLE.define("int num:number")
def _int(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    number: BigFloat = given[0].data
    return given[0] if number.is_whole else values.number(numbers.from_integer(number.truncated()))


@TABLE.define("ceil num:number")
def _ceil(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return _rounded(given[0].data, up=True)


@TABLE.define("floor num:number")
def _floor(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return _rounded(given[0].data, up=False)


def _rounded(number: BigFloat, *, up: bool) -> HclValue:
    if number.infinite or number.is_whole:
        return values.number(number)
    found = number.truncated()
    if up and not number.negative:
        found += 1
    elif number.negative and not up:
        found -= 1
    return values.number(numbers.from_integer(found, number.precision))


@TABLE.define("signum num:number")
def _signum(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    number = whole(given[0], "num")
    return values.integer((number > 0) - (number < 0))


@TABLE.define("log num:number base:number")
def _log(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    number, base = _go_log(given[0].data.floating()), _go_log(given[1].data.floating())
    if not base:
        raise FunctionError("the logarithm of the base is 0")
    return values.number(numbers.from_float(number / base if base not in (math.inf, -math.inf) else math.nan))


def _go_log(number: float) -> float:
    if number < 0:
        raise FunctionError("a negative number has no logarithm")
    return math.log(number) if number else -math.inf


@TABLE.define("pow num:number power:number")
def _pow(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    try:
        return values.number(numbers.from_float(math.pow(given[0].data.floating(), given[1].data.floating())))
    except OverflowError:
        raise FunctionError("the result is too large") from None
    except ValueError:
        raise FunctionError("the result is not a number") from None


@TABLE.define("max *numbers:number")
def _max(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return _extreme(given, largest=True)


@TABLE.define("min *numbers:number")
def _min(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return _extreme(given, largest=False)


def _extreme(given: Sequence[HclValue], *, largest: bool) -> HclValue:
    if not given:
        raise FunctionError("it takes at least one number")
    found = given[0]
    for one in given[1:]:
        if found.data < one.data if largest else one.data < found.data:
            found = one
    return found


@TABLE.define("parseint number:any base:number")
def _parseint(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    text, base = given[0].data, whole(given[1], "base")
    if not isinstance(text, str):
        raise FunctionError("number must be a text")
    if not 2 <= base <= 62:
        raise FunctionError("base must be from 2 to 62")
    if len(text) > _MAX_DIGITS:
        raise FunctionError(f"the number has more than {_MAX_DIGITS} digits")
    digits = text.lstrip("+-")
    # Up to base 36 capital letters are the same digits.
    plain = digits.lower() if base <= 36 else digits
    if not digits or len(text) - len(digits) > 1 or any(letter not in _DIGITS[:base] for letter in plain):
        raise FunctionError(f"{text!r} is not a whole number of base {base}")
    found = 0
    for letter in plain:
        found = found * base + _DIGITS.index(letter)
    number = numbers.from_integer(found, max(64, found.bit_length()))
    return values.number(-number if text.startswith("-") and found else number)


@TABLE.define("range *params:number")
def _range(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    if not 1 <= len(given) <= 3:
        raise FunctionError("it takes one, two or three numbers")
    zero = numbers.from_integer(0)
    start, end = (zero, given[0].data) if len(given) == 1 else (given[0].data, given[1].data)
    step = given[2].data if len(given) == 3 else numbers.from_integer(-1 if end < start else 1)
    if not step.sign:
        raise FunctionError("step is 0")
    down = step.sign < 0
    if (start < end) if down else (end < start):
        raise FunctionError("end is on the other side of start than step")
    found: list[HclValue] = []
    while (end < start) if down else (start < end):
        if len(found) >= _RANGE:
            raise FunctionError(f"the range has more than {_RANGE} numbers")
        found.append(values.number(start))
        start = start + step
    return values.list_of(types.NUMBER, found)
