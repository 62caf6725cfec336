"""The signals that STOPSIGNAL accepts: Linux's, whatever the build machine is (moby/sys/signal)."""

import re

_NAMES = frozenset(
    (
        *"ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP".split(),
        *"SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX".split(),
        *(f"RTMIN+{n}" for n in range(1, 16)),
        *(f"RTMAX-{n}" for n in range(1, 15)),
    )
)


def known(text: str) -> bool:
    """Return whether `text` is a signal: a number other than 0, or a name with or without SIG."""
    if re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII):
        return text.strip("+-0") != ""
    return text.upper().removeprefix("SIG") in _NAMES
