"""Deferred modules: loaded when a name in them is used, and no different from others then."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import polyarch
from polyarch import deferred

_START = "from polyarch.deferred import Deferred, _DeferredModule, _waiting\nDeferred().install()\n"


def _run(code: str) -> str:
    """What a program prints in an interpreter that has not imported these modules."""
    path = [entry for entry in sys.path if entry]
    done = subprocess.run(
        [sys.executable, "-IS", "-c", f"import sys\nsys.path[:] = {path!r}\n{_START}{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_module_is_loaded_at_the_first_use_of_a_name() -> None:
    code = """
import textwrap
assert type(textwrap) is _DeferredModule and "textwrap" in _waiting
assert textwrap.__file__ is None or textwrap.__file__.endswith("textwrap.py")
print(textwrap.dedent("  a"), type(textwrap).__name__, list(_waiting), textwrap.__loader__ is textwrap.__spec__.loader)
"""
    assert _run(code) == "a module [] True"


def test_early_names_do_not_load_a_module_and_work_like_its_own() -> None:
    code = """
import inspect, os, platform
from gettext import gettext, ngettext
print(gettext("a"), ngettext("one", "many", 1), ngettext("one", "many", 2))
assert platform.system() == os.uname().sysname
inspect.cleandoc("one line")
print(sorted(_waiting))
print(inspect.cleandoc("two\\n  lines"), platform.python_version() == sys.version.split()[0], sorted(_waiting))
assert inspect.cleandoc.__module__ == "inspect"
"""
    assert _run(code).splitlines() == [
        "a one many",
        "['gettext', 'inspect', 'platform']",
        "two",
        "lines True ['gettext']",
    ]


@given(st.text("ab \t.", max_size=20))
def test_a_line_of_help_is_cleaned_as_inspect_does_it(text: str) -> None:
    assert deferred._cleandoc(text) == inspect.cleandoc(text)


def test_two_threads_get_the_whole_module() -> None:
    code = """
import threading, inspect
found = []
threads = [threading.Thread(target=lambda: found.append(inspect.signature)) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), len(set(found)))
"""
    assert _run(code) == "8 1"


def test_a_missing_name_is_an_error_of_the_module() -> None:
    code = """
import ipaddress
try:
    ipaddress.nothing
except AttributeError as error:
    print(error, type(ipaddress).__name__)
"""
    assert _run(code) == "module 'ipaddress' has no attribute 'nothing' module"


def test_msgspec_uses_typing() -> None:
    code = """
from polyarch.deferred import import_msgspec
import_msgspec()
print("typing_extensions" in sys.modules)
import msgspec, typing
Point = msgspec.defstruct("Point", [("x", int), ("y", typing.Optional[str], None)])
print(msgspec.json.decode(b'{"x": 1}', type=Point), msgspec.inspect.type_info(int))
"""
    assert _run(code).splitlines() == ["False", f"Point(x=1, y=None) {_type_info()}"]


def test_decimal_is_not_loaded_for_msgspec_and_is_whole_for_others() -> None:
    code = """
from polyarch.deferred import import_msgspec
import_msgspec()
import msgspec
print("decimal" in sys.modules)
from decimal import Decimal
print(Decimal("1.10") * 2, Decimal.__module__, msgspec.json.decode(b"1.5"))
"""
    assert _run(code).splitlines() == ["False", "2.20 decimal 1.5"]
    # msgspec does not encode or decode values of it: they are for calculations within a function.
    sources = [path.read_text() for path in Path(polyarch.__path__[0]).rglob("*.py")]
    assert any("from decimal import Decimal" in source for source in sources)
    assert not any(re.search(r"(?::|->|\|) *Decimal\b|\[Decimal\b", source) for source in sources)


def _type_info() -> str:
    import msgspec

    return str(msgspec.inspect.type_info(int))


def test_a_forked_process_does_not_wait_for_a_thread_of_its_parent() -> None:
    code = """
import os, textwrap
from polyarch import deferred
deferred._lock.acquire()
child = os.fork()
if not child:
    import threading
    done = []
    thread = threading.Thread(target=lambda: done.append(textwrap.dedent("  a")), daemon=True)
    thread.start()
    thread.join(30)
    os._exit(0 if done == ["a"] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert _run(code) == "0"
