"""Where bake differs from Debian's buildx 0.29.1 on purpose, by the title of the case or what it contains."""

import re

from tests.answers import RecordedCase

_OLDER = "Debian builds buildx with hcl and go-cty before 2.24 and 1.17, whose rules these are"
_TWICE = "buildx takes a word that is not a variable for one that needs itself, if it appears twice"
_LATER = "buildx looks for files and agents even to print; here a build looks for them"

# Cases that differ, and why.
TITLES = {
    'lists: element(["a", "b"], -1)': _OLDER,
    "conversion: convert({a = 1}, object({a = string, b = optional(number)}))": _OLDER,
    'encodings: jsondecode("{\\"a\\":1,\\"a\\":\\"x\\"}")': _OLDER,
    **{f"operators: {text}": _OLDER for text in ("true || nope", "nope || true", "false && nope", "nope && false")},
    "overrides: set ssh": _LATER,
    "targets: a secret without a source": _LATER,
    "targets: an ssh agent without a socket": _LATER,
}


def explained(case: RecordedCase) -> str | None:
    """Why a case differs; None if it must not."""
    if case.title in TITLES:
        return TITLES[case.title]
    words = re.findall(r"\b(string|number|bool|any)\b", case.title)
    return _TWICE if "convert(" in case.title and len(words) != len(set(words)) else None
