"""Numbers → decimal digits: the shortest that give the number back at its precision (Go's big.Float.Text)."""

from decimal import Decimal

from polyarch.bake.hcl.numbers import BigFloat


def plain(number: BigFloat) -> str:
    """Go's format `f` with the shortest digits: no exponent."""
    sign = "-" if number.negative else ""
    if number.infinite:
        return f"{sign}Inf" if sign else "+Inf"
    digits, point = shortest(number)
    return sign + _plain(digits, point)


def _plain(digits: str, point: int) -> str:
    if point <= 0:
        return f"0.{'0' * -point}{digits}" if digits else "0"
    whole = digits[:point].ljust(point, "0")
    return f"{whole}.{digits[point:]}" if len(digits) > point else whole


def general(number: BigFloat, precision: int | None = None) -> str:
    """Go's format `g`: an exponent below -4 and from the precision on. Without one: the shortest digits, from 6 on."""
    sign = "-" if number.negative else ""
    if number.infinite:
        return f"{sign}Inf" if sign else "+Inf"
    if precision is None:
        digits, point = shortest(number)
        limit = 6
    else:
        digits, point = round_to(*exact(number.mantissa, number.exponent), max(1, precision))
        limit = len(digits) if precision > len(digits) >= point else max(1, precision)
    if digits and not -4 <= point - 1 < limit:
        return sign + scientific(digits, point)
    return sign + _plain(digits, point)


def scientific(digits: str, point: int) -> str:
    """`d.ddde+XX`"""
    exponent = point - 1 if digits else 0
    mantissa = digits[:1] or "0"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{mantissa}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def exact(mantissa: int, exponent: int) -> tuple[str, int]:
    """All digits of `mantissa * 2 ** exponent`, and where the decimal point is among them."""
    if not mantissa:
        return "", 0
    if exponent >= 0:
        digits, point = str(Decimal(mantissa << exponent)), 0
    else:
        # m / 2**n is m * 5**n / 10**n.
        digits, point = str(Decimal(mantissa * 5**-exponent)), exponent
    position = len(digits) + point
    return digits.rstrip("0"), position


def shortest(number: BigFloat) -> tuple[str, int]:
    """The digits, and where the decimal point is among them; no digits for zero."""
    if not number.mantissa:
        return "", 0
    digits, point = exact(number.mantissa, number.exponent)
    # The mantissa with one bit more than the precision: its last bit is half of the last place.
    shift = number.precision + 1 - number.mantissa.bit_length()
    mantissa, exponent = number.mantissa << shift, number.exponent - shift
    lower, _ = exact(mantissa - 1, exponent)
    upper, _ = exact(mantissa + 1, exponent)
    inclusive = not mantissa & 2
    for index, digit in enumerate(digits):
        low, high = lower[index : index + 1] or "0", upper[index : index + 1] or "0"
        down = low != digit or (inclusive and index + 1 == len(lower))
        up = digit != high and (inclusive or ord(digit) + 1 < ord(high) or index + 1 < len(upper))
        if down and up:
            return round_to(digits, point, index + 1)
        if down:
            return digits[: index + 1].rstrip("0"), point
        if up:
            return _up(digits[: index + 1], point)
    return digits, point


def round_to(digits: str, point: int, count: int) -> tuple[str, int]:
    """The first `count` digits, rounded half to even."""
    if count < 0 or count >= len(digits):
        return ("", 0) if count < 0 else (digits, point)
    following, rest = digits[count : count + 1], digits[count + 1 :]
    half = following == "5" and not rest.strip("0")
    odd = count > 0 and int(digits[count - 1]) % 2 == 1
    if following > "5" or (following == "5" and not half) or (half and odd):
        return _up(digits[:count], point)
    kept = digits[:count].rstrip("0")
    return kept, point if kept else 0


def _up(digits: str, point: int) -> tuple[str, int]:
    kept = digits.rstrip("9")
    if not kept:
        return "1", point + 1
    return kept[:-1] + str(int(kept[-1]) + 1), point
