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
from tests.serve.clients.catalog import CLIENTS, Counter, served
from tests.serve.contents import Where


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make serve-clients", description=str(__doc__).splitlines()[0])
    parser.add_argument("--witness", action="store_true", help="ask Debian's docker-registry instead")
    parser.add_argument("name", nargs="*", choices=[[], *CLIENTS], help="a client (default: all)")
    chosen = parser.parse_args(words)
    passed = total = 0
    with Counter(_witness if chosen.witness else served) as counter:
        for name in chosen.name or CLIENTS:
            began = time.monotonic()
            drive = counter.drive(name)
            wrong, made = drive.wrong(), len(drive.results)
            passed, total = passed + made - len(wrong), total + made
            did = ", ".join(drive.results)
            print(
                f"{drive.version}: {made - len(wrong)} of {made} ({did}), {time.monotonic() - began:.0f} s", flush=True
            )
            for step, told in wrong.items():
                print(f"  {name}: {step}: {told}")
    print(f"{len(chosen.name or CLIENTS)} clients: {passed} of {total} passed")
    return 0 if passed == total else 1


def _witness(directory: Path) -> tuple[RegistryProcess, Where]:
    registry = LocalRegistry(directory)
    return registry, Where(registry.address)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
