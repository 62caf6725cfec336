"""The values that readers of package metadata return."""

import msgspec


class Component(msgspec.Struct, frozen=True, array_like=True):
    """A package as its metadata describes it. `ecosystem` is the type of its purl (see `attest.bill.BillPackage`).

    `group` is that of a Maven package. `version` is empty only if that of a module of Go or of a jar is not known.
    `source` and `source_version` are the source package of a distribution. `licenses` are texts as the author wrote
    them: they need not be SPDX expressions. `supplier` is the maintainer, as in "Name <address>".
    """

    ecosystem: str
    name: str
    version: str
    architecture: str = ""
    source: str = ""
    source_version: str = ""
    licenses: tuple[str, ...] = ()
    supplier: str = ""
    homepage: str = ""
    group: str = ""


class InventoryFile(msgspec.Struct, frozen=True, array_like=True):
    """What one file says. `licenses` are those of a Debian copyright file, which belong to the package of its
    directory. `notes` say what could not be read, and why.
    """

    components: tuple[Component, ...] = ()
    licenses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
