"""Registries: where credentials are, whether the hosts answer and accept them, and what time it is there."""

import shutil
from collections.abc import Callable, Iterable

from polyarch.doctor.diagnosis import Diagnosis, Status
from polyarch.errors import UsageError
from polyarch.registry.credentials import Credentials
from polyarch.registry.reach import Reached

# Tokens and signatures hold for some minutes, and their checks allow for a minute.
_CLOCK_SECONDS = 60.0
_THREADS = 8


def examine_credentials(credentials: Credentials, search_path: str) -> tuple[tuple[Diagnosis, ...], tuple[str, ...]]:
    """What is known about stored credentials without asking anybody, and the hosts that have some."""
    try:
        places = credentials.places()
    except UsageError as error:
        broken = Diagnosis(
            name="credentials", status="missing", found="cannot be read", reason=error.message, mend=error.hint or ""
        )
        return (broken,), ()
    hosts = tuple(place.host for place in places)
    helpers = sorted({f"docker-credential-{place.helper}" for place in places if place.helper})
    absent = [name for name in helpers if "/" in name or shutil.which(name, path=search_path) is None]
    found = f"for {', '.join(hosts)}" if hosts else "none stored"
    if absent:
        return (
            Diagnosis(
                name="credentials",
                status="limited",
                found=found,
                reason=f"{' and '.join(absent)} not found on PATH",
                mend=f"install it, or take credsStore and credHelpers out of {places[0].file} and log in again",
            ),
        ), hosts
    return (Diagnosis(name="credentials", status="ok", found=found),), hosts


def examine_registries(
    reach: Callable[[str], Reached], named: Iterable[str], others: Iterable[str]
) -> tuple[Diagnosis, ...]:
    """Ask registries. What is wrong with those that were `named` is missing, and with `others` a limitation.

    `reach` is called in several threads.
    """
    from concurrent.futures import ThreadPoolExecutor

    first = tuple(dict.fromkeys(named))
    hosts = tuple(dict.fromkeys((*first, *others)))
    if not hosts:
        return ()
    with ThreadPoolExecutor(max_workers=min(len(hosts), _THREADS)) as threads:
        answers = tuple(threads.map(reach, hosts))
    clocks = clock(answers)
    return (*(registry(answer, needed=answer.host in first) for answer in answers), *clocks)


def registry(answer: Reached, *, needed: bool) -> Diagnosis:
    """What a registry answered."""
    wrong: Status = "missing" if needed else "limited"
    name = f"registry {answer.host}"
    if answer.access == "unreachable":
        return Diagnosis(name=name, status=wrong, found="cannot be used", reason=answer.reason, mend=answer.hint)
    if answer.access == "refused":
        return Diagnosis(
            name=name,
            status=wrong,
            found=f"{answer.url}, credentials refused",
            reason=answer.reason,
            mend=f"polyarch login {answer.host}",
        )
    if answer.access == "anonymous":
        if answer.reason:
            return Diagnosis(
                name=name,
                status=wrong,
                found=f"{answer.url}, wants credentials",
                reason="no credentials are stored for it",
                mend=f"polyarch login {answer.host}",
            )
        return Diagnosis(name=name, status="ok", found=f"{answer.url}, without credentials")
    found = "credentials accepted" if answer.access == "accepted" else "wants no credentials"
    return Diagnosis(name=name, status="ok", found=f"{answer.url}, {found}")


def clock(answers: Iterable[Reached]) -> tuple[Diagnosis, ...]:
    """This machine's clock beside those of registries. The majority counts, since one server may be wrong."""
    aheads = sorted(answer.ahead for answer in answers if answer.ahead is not None)
    if not aheads:
        return ()
    ahead = aheads[len(aheads) // 2]
    if abs(ahead) <= _CLOCK_SECONDS:
        return (Diagnosis(name="clock", status="ok", found="agrees with the registry's"),)
    return (
        Diagnosis(
            name="clock",
            status="limited",
            found=f"{abs(ahead):.0f} seconds {'ahead of' if ahead > 0 else 'behind'} the registry's",
            reason="certificates, tokens and signatures may be taken for expired, or for not yet valid",
            mend="sudo timedatectl set-ntp true",
        ),
    )
