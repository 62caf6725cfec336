"""`make serve-clients`: programs that people use with a registry, with `polyarch serve` as the registry.

python -m tests.serve.clients [--witness] [NAME...]    run these clients (default: all), and say what failed;
                                                       --witness: at Debian's docker-registry instead
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.local_registry import LocalRegistry
from scripts.registry_process import RegistryProcess
from tests.serve.clients.catalog import CLIENTS, Counter, secured, served, with_tokens
from tests.serve.contents import Where

# What a client cannot do for a reason of its own.
_NOT = {
    ("with TLS and tokens", "docker"): "it trusts an authority in certs.d for images, and not for tokens",
}
_KINDS = {"open": served, "with TLS and a password": secured, "with TLS and tokens": with_tokens}


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make serve-clients", description=str(__doc__).splitlines()[0])
    parser.add_argument("--witness", action="store_true", help="ask Debian's docker-registry instead")
    parser.add_argument("name", nargs="*", choices=[[], *CLIENTS], help="a client (default: all)")
    chosen = parser.parse_args(words)
    kinds = {"docker-registry": _witness} if chosen.witness else _KINDS
    passed = total = 0
    for kind, start in kinds.items():
        print(f"{kind}:")
        with Counter(start) as counter:
            for name in chosen.name or CLIENTS:
                if (kind, name) in _NOT:
                    print(f"  {name}: {_NOT[kind, name]}")
                    continue
                done, asked = _report(counter, name)
                passed, total = passed + done, total + asked
    print(f"{len(chosen.name or CLIENTS)} clients: {passed} of {total} passed")
    return 0 if passed == total else 1


def _report(counter: Counter, name: str) -> tuple[int, int]:
    """Print what came of a client. Returns how much of how much passed."""
    began = time.monotonic()
    drive = counter.drive(name)
    wrong, asked = drive.wrong(), len(drive.results)
    about = f"{', '.join(drive.results)}; {time.monotonic() - began:.0f} s"
    print(f"  {name} ({drive.version}): {asked - len(wrong)} of {asked} ({about})", flush=True)
    for step, told in wrong.items():
        print(f"    {name}: {step}: {told}")
    return asked - len(wrong), asked


def _witness(directory: Path) -> tuple[RegistryProcess, Where]:
    registry = LocalRegistry(directory)
    return registry, Where(registry.address)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
