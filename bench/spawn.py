"""`python -IS spawn.py LOG ENVIRONMENT PROGRAM [ARGUMENT…]`: run a program, print what it took, as JSON.

A process of its own, because the kernel hands the peak memory of who spawns on to what is spawned (`exec_mmap`): this
one is small.
"""

import json
import os
import sys
import time


def main(log: str, environment: str, *argv: str) -> None:
    with open(log, "wb") as output:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
        ]
        started = time.perf_counter()
        process = os.posix_spawnp(argv[0], list(argv), json.loads(environment), file_actions=actions)
        _, status, usage = os.wait4(process, 0)
        wall = time.perf_counter() - started
    taken = (wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10)
    print(json.dumps((os.waitstatus_to_exitcode(status), *taken)))


if __name__ == "__main__":
    main(*sys.argv[1:])
