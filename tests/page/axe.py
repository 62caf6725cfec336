"""axe-core, which finds what keeps people from using a page: it runs in the page itself."""

import functools
import json
from typing import Any

from tests import needs
from tests.clients import packages
from tests.devtools import Tab

_VERSION = "4.14.1"


@functools.cache
def source() -> str:
    """The program, of a fixed version, from the cache or npm."""
    needs.need("npm")
    place = packages.installed("axe", packages.npm, [f"axe-core@{_VERSION}"])
    return (place / "node_modules/axe-core/axe.min.js").read_text()


def findings(tab: Tab) -> list[str]:
    """What is wrong with the page that the tab shows: the rule, the element, and what axe says of it."""
    tab.evaluate(source() + "; 0")
    # All rules, those of best practices too. Without lists of what is right, it takes half the time.
    run = "axe.run(document, { resultTypes: ['violations'] }).then((found) => JSON.stringify(found.violations))"
    violations: list[dict[str, Any]] = json.loads(tab.evaluate(run))
    return [f"{one['id']}: {node['target']}: {node['failureSummary']}" for one in violations for node in one["nodes"]]
