"""docs/reference/python.md: the Python API, written from its docstrings, and the programs of examples/python."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import polyarch

_EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "python"

# The order in which the programs are shown.
PROGRAMS = (
    "build_and_push",
    "pull_and_list",
    "edit_an_index",
    "run_a_platform",
    "check_in_ci",
    "save_and_load",
    "build_from_a_stream",
    "progress",
    "parallel_builds",
    "errors",
)

_INTRODUCTION = """\
# The Python API

Written by `make docs` from the docstrings and from the programs in [examples/python](../../examples/python), which are
tests.

```python
from polyarch import Polyarch

with Polyarch() as client:
    result = client.build("examples/hello", platforms="linux/amd64,linux/arm64", tags="hello")
    for image in result.images:
        print(image.platform, image.descriptor.digest)
```

- A client has the same store, configuration files and credentials as the command line, unless its settings say
  otherwise.
- All names are typed (`py.typed`). Where a method takes several values, one str is one value, never its letters; in
  `platforms`, commas separate: "linux/amd64,linux/arm64" is two.
- Arguments are checked when a method is called: an unknown keyword is a TypeError, and a value of the wrong type a
  UsageError that names the parameter.
- Methods may be called from any thread. Builds and runs are done in processes of their own, so they work in notebooks,
  in event loops (`asyncio.to_thread`) and beside other threads. On Ctrl-C or an exception that process ends, and
  removes what it made.
- Results are frozen values. Every error that is raised on purpose is a PolyarchError with `message` and `hint`.
"""

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Client": ("Polyarch", "Images", "Indexes", "RemoteCaches"),
    "Settings of a build": (
        "BuildKeywords",
        "CacheSettings",
        "RunFlags",
        "TimeSettings",
        "FarmSettings",
        "PlatformOverride",
        "Output",
    ),
    "Values": ("Platform", "Reference", "Digest", "Descriptor", "Credential"),
    "Types of parameters": ("StrPath", "Name", "Names", "Platforms", "Secret", "Sink", "OnFailure", "VerifyPlatforms"),
}

# What the types without a docstring of their own are.
_ALIASES = {
    "Digest": "A digest, such as sha256: and 64 hexadecimal digits. It is a str at run time.",
    "StrPath": "The path of a file or directory. A relative path is relative to the working directory.",
    "Name": "The name of an image.",
    "Names": "One or more names of images. A str is one name.",
    "Platforms": "One or more platforms. In a str, they are separated by commas.",
    "Secret": "The content of a secret, or a Path of the file that contains it.",
    "Sink": "A stream of a process, as for `subprocess.run`; or an object with a `write` method that takes bytes.",
    "OnFailure": "What a build does if a platform fails: see BuildKeywords.",
    "VerifyPlatforms": "How a build treats an entrypoint that was built for another architecture.",
    "Event": "What `progress` is called with.",
}


# What a program calls the objects with methods.
_OBJECTS = {
    "Polyarch": "client",
    "Images": "client.images",
    "Indexes": "client.indexes",
    "RemoteCaches": "client.caches",
}


def python_api() -> str:
    """The text of the page."""
    parts = [_INTRODUCTION, "## Programs\n", *map(_program, PROGRAMS)]
    for title, names in groups().items():
        parts.append(f"## {title}\n")
        parts += [_entry(name) for name in names]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def groups() -> dict[str, list[str]]:
    """All public names by the sections of the page."""
    found = {title: list(names) for title, names in _GROUPS.items()}
    listed = {name for names in _GROUPS.values() for name in names}
    for name in polyarch.__all__:
        if name in listed or name == "__version__":
            continue
        value = getattr(polyarch, name)
        if isinstance(value, type) and issubclass(value, polyarch.PolyarchError):
            title = "Errors"
        else:
            title = "Progress" if _home(name) == "polyarch.progress" else "Results"
        found.setdefault(title, []).append(name)
    return {title: found[title] for title in (*_GROUPS, "Results", "Errors", "Progress") if title in found}


def _program(name: str) -> str:
    text = (_EXAMPLES / f"{name}.py").read_text()
    title = ast.get_docstring(ast.parse(text)) or ""
    body = text.split('"""', 2)[2].strip("\n")
    return f"**{title}** ([{name}.py](../../examples/python/{name}.py))\n\n```python\n{body}\n```\n"


def _home(name: str) -> str:
    for home, names in polyarch._HOMES.items():
        if name in names.split():
            return f"polyarch.{home}"
    raise KeyError(name)


def _entry(name: str) -> str:
    """A class, type or function: its signature or fields, its docstring, its public methods."""
    tree = ast.parse(inspect.getsource(importlib.import_module(_home(name))))
    node = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    if node is None:
        return f"### {name}\n\n```python\n{_source(_assigned(tree)[name])}\n```\n\n{_ALIASES[name]}\n"
    bases = [base for base in map(ast.unparse, node.bases) if base != "msgspec.Struct"]
    lines = [f"### {name}", ""]
    head = f"class {name}({', '.join(bases)})" if bases else f"class {name}"
    types = _Types(tree)
    fields = list(_fields(node, types))
    if name == "Polyarch":
        made = next(item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__")
        head = _signature(made, name, types)
    lines += ["```python", head, *(f"    {field}" for field in fields), "```", "", _docstring(node), ""]
    for item in node.body if bases != ["PolyarchError"] else ():
        if isinstance(item, ast.FunctionDef) and not item.name.startswith("_"):
            prefix = f"{_called(name)}." if name in _OBJECTS else ""
            shown = [f"#### {prefix}{item.name}", "", "```python", _signature(item, item.name, types), "```", ""]
            lines += [*shown, _docstring(item), ""]
    return "\n".join(lines)


def _called(name: str) -> str:
    return _OBJECTS[name]


def _assigned(tree: ast.Module) -> dict[str, ast.Assign]:
    """The assignments of a module by name."""
    return {_source(node.targets[0]): node for node in tree.body if isinstance(node, ast.Assign)}


def _fields(node: ast.ClassDef, types: "_Types") -> Iterator[str]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and not item.target.id.startswith("_"):
            default = f" = {_default(item.value)}" if item.value is not None else ""
            yield f"{item.target.id}: {types.shown(item.annotation)}{default}"


def _default(value: ast.expr) -> str:
    """The default of a field, taken out of msgspec.field."""
    if isinstance(value, ast.Call) and _source(value.func) == "msgspec.field":
        keywords = {keyword.arg: _source(keyword.value) for keyword in value.keywords}
        return keywords.get("default") or {"dict": "{}"}[keywords["default_factory"]]
    return _source(value)


class _Types(ast.NodeTransformer):
    """Shows annotations without quotes, and with Literals in the place of names that are not public."""

    def __init__(self, tree: ast.Module) -> None:
        self._aliases = {
            name: node.value
            for name, node in _assigned(tree).items()
            if name not in polyarch.__all__ and _source(node.value).startswith("Literal[")
        }

    def shown(self, annotation: ast.expr) -> str:
        return _source(self.visit(annotation))

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        head = _source(node.value)
        if head == "Literal":
            return node
        if head == "Items":
            one = _source(node.slice)
            return ast.parse(f"{one} | Iterable[{one}]", mode="eval").body
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, str):
            return node
        found: ast.AST = self.visit(ast.parse(node.value, mode="eval").body)
        return found

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._aliases.get(node.id, node)


def _signature(node: ast.FunctionDef, name: str, types: _Types) -> str:
    """`name(parameters) -> type`, on a line of its own for each parameter where it would be long."""
    if any(_source(item) == "property" for item in node.decorator_list):
        return f"{name}: {types.shown(node.returns)}" if node.returns else name
    parameters = list(_parameters(node.args, types))
    returns = f" -> {types.shown(node.returns)}" if node.returns is not None and name == node.name else ""
    line = f"{name}({', '.join(parameters)}){returns}"
    if len(line) <= 100:
        return line
    return "\n".join([f"{name}(", *(f"    {item}," for item in parameters), f"){returns}"])


def _parameters(args: ast.arguments, types: _Types) -> Iterator[str]:
    positional = [item for item in (*args.posonlyargs, *args.args) if item.arg not in ("self", "cls")]
    required = len(positional) - len(args.defaults)
    for item, default in zip(positional, [*[None] * required, *args.defaults], strict=True):
        yield _parameter(item, default, types)
    if args.vararg is not None:
        yield f"*{_parameter(args.vararg, None, types)}"
    elif args.kwonlyargs:
        yield "*"
    for item, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        yield _parameter(item, default, types)
    if args.kwarg is not None:
        yield f"**{_parameter(args.kwarg, None, types)}"


def _parameter(item: ast.arg, default: ast.expr | None, types: _Types) -> str:
    shown = f"{item.arg}: {types.shown(item.annotation)}" if item.annotation is not None else item.arg
    return shown if default is None else f"{shown} = {_source(default)}"


def _source(node: ast.AST) -> str:
    """The source of a node, its texts in double quotes."""
    return re.sub(r"'([^'\"\\\\]*)'", r'"\1"', ast.unparse(node))


def _docstring(node: ast.ClassDef | ast.FunctionDef) -> str:
    return ast.get_docstring(node) or ""
