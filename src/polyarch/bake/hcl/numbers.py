"""Numbers as HCL has them: Go's big.Float, a binary fraction with a precision, rounded to the nearest even.

Numbers in files have 512 bits, those of environment variables 53, and whole numbers that functions return 64. A result
has the larger precision of its operands, and a number is printed with as many digits as its precision needs.
"""

import re
from decimal import Decimal

import msgspec

PRECISION = 512
_FLOAT = 53
_WHOLE = 64
# Of numbers in files; buildx accepts larger ones, and takes as long as they ask for.
_MAX_DIGITS = 20_000
_MAX_EXPONENT = 200_000
_DECIMAL = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?")


class NumberError(ValueError):
    """An operation that has no result, or text that is not a number."""


class BigFloat(msgspec.Struct, frozen=True, eq=False):
    """`mantissa * 2 ** exponent`, with an odd mantissa, or zero. `negative` is the sign, also that of zero.

    `infinite` numbers come from a division by zero.
    """

    mantissa: int
    exponent: int
    precision: int
    negative: bool = False
    infinite: bool = False

    @property
    def sign(self) -> int:
        """-1, 0 or 1."""
        if not self.mantissa and not self.infinite:
            return 0
        return -1 if self.negative else 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BigFloat) and self._order(other) == 0

    def __lt__(self, other: "BigFloat") -> bool:
        return self._order(other) < 0

    def __le__(self, other: "BigFloat") -> bool:
        return self._order(other) <= 0

    def __hash__(self) -> int:
        return hash((self.mantissa, self.exponent, self.sign))

    def _order(self, other: "BigFloat") -> int:
        if self.infinite or other.infinite:
            return (self.sign * (1 + self.infinite)) - (other.sign * (1 + other.infinite))
        return _exact_order(self, other)

    def __neg__(self) -> "BigFloat":
        return msgspec.structs.replace(self, negative=not self.negative)

    def __abs__(self) -> "BigFloat":
        return msgspec.structs.replace(self, negative=False)

    def __add__(self, other: "BigFloat") -> "BigFloat":
        precision = max(self.precision, other.precision)
        if self.infinite or other.infinite:
            if self.infinite and other.infinite and self.negative != other.negative:
                raise NumberError("opposite infinities have no sum")
            return msgspec.structs.replace(self if self.infinite else other, precision=precision)
        low = min(self.exponent, other.exponent)
        total = self._scaled(low) + other._scaled(low)
        # Like Go: a sum that is zero is negative only if both operands are.
        return rounded(total, low, precision, self.negative and other.negative)

    def __sub__(self, other: "BigFloat") -> "BigFloat":
        return self + -other

    def __mul__(self, other: "BigFloat") -> "BigFloat":
        negative = self.negative != other.negative
        precision = max(self.precision, other.precision)
        if self.infinite or other.infinite:
            if not self.sign or not other.sign:
                raise NumberError("zero times infinity has no value")
            return BigFloat(0, 0, precision, negative, infinite=True)
        product = rounded(self.mantissa * other.mantissa, self.exponent + other.exponent, PRECISION, False)
        # cty keeps the bits that the product needs, even if its operands have fewer.
        precision = max(precision, product.mantissa.bit_length())
        return msgspec.structs.replace(product, precision=precision, negative=negative)

    def __truediv__(self, other: "BigFloat") -> "BigFloat":
        negative = self.negative != other.negative
        precision = max(self.precision, other.precision)
        if (self.infinite and other.infinite) or (not self.sign and not other.sign):
            raise NumberError("zero divided by zero, or infinity by infinity, has no value")
        if self.infinite or not other.sign:
            return BigFloat(0, 0, precision, negative, infinite=True)
        if other.infinite or not self.sign:
            return BigFloat(0, 0, precision, negative)
        shift = max(0, precision + 2 + other.mantissa.bit_length() - self.mantissa.bit_length())
        quotient, rest = divmod(self.mantissa << shift, other.mantissa)
        # The bits that are cut off only matter as "some" or "none".
        exponent = self.exponent - other.exponent - shift
        found = rounded(quotient * 2 + (rest != 0), exponent - 1, precision, False)
        return msgspec.structs.replace(found, negative=negative)

    def __mod__(self, other: "BigFloat") -> "BigFloat":
        if self.infinite or other.infinite:
            return self * other
        if not other.sign:
            return self
        whole = (self / other).truncated()
        return self - from_integer(whole, self.precision)._times(other, self.precision)

    def _times(self, other: "BigFloat", precision: int) -> "BigFloat":
        product = rounded(self.mantissa * other.mantissa, self.exponent + other.exponent, precision, False)
        return msgspec.structs.replace(product, negative=self.negative != other.negative)

    def _scaled(self, exponent: int) -> int:
        value = self.mantissa << (self.exponent - exponent)
        return -value if self.negative else value

    @property
    def is_whole(self) -> bool:
        """Whether it is an integer."""
        return not self.infinite and self.exponent >= 0

    def truncated(self) -> int:
        """The integer part. Raises NumberError for infinity."""
        if self.infinite:
            raise NumberError("infinity is not a whole number")
        value = self.mantissa << self.exponent if self.exponent >= 0 else self.mantissa >> -self.exponent
        return -value if self.negative else value

    def integer(self) -> int:
        """The value as an int of 64 bits. Raises NumberError."""
        if not self.is_whole or not -(1 << 63) <= self.truncated() < 1 << 63:
            raise NumberError("a whole number is required")
        return self.truncated()

    def floating(self) -> float:
        """The nearest float. Raises NumberError if it is too large."""
        if self.infinite:
            return float("-inf") if self.negative else float("inf")
        cut = rounded(self.mantissa, self.exponent, _FLOAT, False)
        try:
            value = float(cut.mantissa) * 2.0**cut.exponent
        except OverflowError:
            value = 0.0 if cut.exponent < 0 else float("inf")
        if value == float("inf"):
            raise NumberError("the number is too large")
        return -value if self.negative else value


def rounded(mantissa: int, exponent: int, precision: int, negative_zero: bool) -> BigFloat:
    """`mantissa * 2 ** exponent` in this many bits."""
    negative, magnitude = mantissa < 0, abs(mantissa)
    if not magnitude:
        return BigFloat(0, 0, precision, negative_zero)
    excess = magnitude.bit_length() - precision
    if excess > 0:
        half = 1 << (excess - 1)
        rest = magnitude & ((1 << excess) - 1)
        magnitude >>= excess
        if rest > half or (rest == half and magnitude & 1):
            magnitude += 1
        exponent += excess
    zeros = (magnitude & -magnitude).bit_length() - 1
    if abs(exponent + zeros) > _MAX_EXPONENT:
        raise NumberError("the result is too large a number, or too close to zero")
    return BigFloat(magnitude >> zeros, exponent + zeros, precision, negative)


def _exact_order(one: BigFloat, other: BigFloat) -> int:
    low = min(one.exponent, other.exponent)
    difference = one._scaled(low) - other._scaled(low)
    return (difference > 0) - (difference < 0)


def from_integer(value: int, precision: int = 0) -> BigFloat:
    """A whole number; by default with the precision that Go gives to an int64, or to a big.Int."""
    return rounded(value, 0, precision or max(_WHOLE, abs(value).bit_length()), False)


def from_float(value: float) -> BigFloat:
    """A float, with its 53 bits. Raises NumberError for NaN."""
    if value != value:
        raise NumberError("the result is not a number")
    if value in (float("inf"), float("-inf")):
        return BigFloat(0, 0, _FLOAT, value < 0, infinite=True)
    numerator, denominator = value.as_integer_ratio()
    return rounded(numerator, 1 - denominator.bit_length(), _FLOAT, str(value).startswith("-"))


def parse(text: str) -> BigFloat:
    """A decimal number, with 512 bits. Raises NumberError."""
    match = _DECIMAL.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        raise NumberError(f"{text[:40]!r} is not a number")
    digits, fraction = match[2], match[3] or ""
    if len(text) > _MAX_DIGITS or len(match[4] or "") > 6 or abs(int(match[4] or 0)) > _MAX_DIGITS:
        raise NumberError(f"{text[:20]}… is too large a number: {_MAX_DIGITS} digits are the most")
    # Decimal, because int() refuses long texts.
    whole = int(Decimal(f"{digits}{fraction}"))
    power = int(match[4] or 0) - len(fraction)
    if power >= 0:
        found = rounded(whole * 10**power, 0, PRECISION, False)
    else:
        found = BigFloat(whole, 0, PRECISION) if not whole else _divided(whole, 10**-power)
    return msgspec.structs.replace(found, negative=match[1] == "-")


def _divided(numerator: int, denominator: int) -> BigFloat:
    shift = max(0, PRECISION + 2 + denominator.bit_length() - numerator.bit_length())
    quotient, rest = divmod(numerator << shift, denominator)
    return rounded(quotient * 2 + (rest != 0), -shift - 1, PRECISION, False)
