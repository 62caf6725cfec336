"""The functions of bake files, one file for each family. They are those of buildx (hclparser/stdlib.go)."""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence

from polyarch.bake.hcl.functions import FunctionHost, HclFunction, Parameter
from polyarch.bake.hcl.values import HclValue

# The family of each function: most files call none or one, and importing all takes a tenth of a cached bake.
_FAMILIES: Mapping[str, str] = {
    "encodings": "md5 sha1 sha256 sha512 base64encode base64decode urlencode jsonencode jsondecode csvdecode uuidv4 "
    "uuidv5 bcrypt rsadecrypt",
    "formats": "format formatlist",
    "lists": "coalescelist compact concat contains distinct chunklist element flatten hasindex index indexof length "
    "reverselist slice sort coalesce",
    "maps": "keys values lookup merge zipmap",
    "networks": "cidrhost cidrnetmask cidrsubnet cidrsubnets",
    "numeric": "add subtract multiply divide modulo greaterthan greaterthanorequalto lessthan lessthanorequalto and or "
    "equal notequal not absolute negate int ceil floor signum log pow max min parseint range",
    "patterns": "regex regexall regex_replace",
    "sets": "setunion setintersection setsubtract setsymmetricdifference sethaselement setproduct",
    "strings": "upper lower title chomp trimspace reverse sanitize strlen substr join split indent replace trim "
    "trimprefix trimsuffix basename dirname byteslen bytesslice homedir",
    "times": "timestamp timeadd formatdate formattimestamp unixtimestampparse",
    "versions": "semvercmp",
}


class LibraryFunctions(MutableMapping[str, HclFunction]):
    """All functions by name, each imported when it is first looked up. Others may be added."""

    def __init__(self) -> None:
        self._homes = {name: family for family, names in _FAMILIES.items() for name in names.split()}
        self._loaded: dict[str, HclFunction] = {
            "can": HclFunction("can", _lazy, (Parameter("expression"),), lazy=True),
            "convert": HclFunction("convert", _lazy, (Parameter("value"), Parameter("type")), lazy=True),
            "try": HclFunction("try", _lazy, (), Parameter("expressions"), lazy=True),
        }

    def family(self, name: str) -> str | None:
        """The module that defines a function; None if it is not of the library, or no module has it."""
        return self._homes.get(name)

    def __getitem__(self, name: str) -> HclFunction:
        if name not in self._loaded:
            self._loaded[name] = table(self._homes[name])[name]
        return self._loaded[name]

    def __setitem__(self, name: str, function: HclFunction) -> None:
        self._loaded[name] = function

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._loaded or name in self._homes

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._homes, *self._loaded)))

    def __len__(self) -> int:
        return len(self._homes.keys() | self._loaded.keys())


def families() -> tuple[str, ...]:
    """The modules that define functions."""
    return tuple(_FAMILIES)


def table(family: str) -> Mapping[str, HclFunction]:
    """The functions of a family."""
    from importlib import import_module

    found: Mapping[str, HclFunction] = import_module(f"{__name__}.{family}").TABLE.functions
    return found


def _lazy(_: Sequence[HclValue], __: FunctionHost) -> HclValue:
    raise AssertionError("the evaluator calls lazy functions itself")
