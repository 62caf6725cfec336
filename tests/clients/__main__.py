"""`make clients`: real programs that call docker, with Polyarch as docker and a registry on loopback.

python -m tests.clients [NAME...]    run these clients (default: all), and say what failed
"""

import sys
import time
from collections.abc import Sequence

from tests.clients.catalog import CLIENTS, Server


def main(names: Sequence[str]) -> int:
    passed = total = calls = 0
    with Server() as server:
        for name in names or CLIENTS:
            began = time.monotonic()
            stage = server.run(name)
            wrong, made = stage.wrong(), len(stage.results)
            passed, total, calls = passed + made - len(wrong), total + made, calls + len(stage.calls())
            about = f"{len(stage.calls())} calls of docker, {time.monotonic() - began:.0f} s"
            print(f"{name}: {made - len(wrong)} of {made} steps passed, {about}", flush=True)
            for step, told in wrong.items():
                print(f"  {step}: {told}")
    print(f"{len(names or CLIENTS)} clients, {calls} calls of docker: {passed} of {total} steps passed")
    return 0 if passed == total else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
