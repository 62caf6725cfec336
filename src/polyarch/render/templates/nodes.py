"""A parsed Go template as values."""

import msgspec


class Dot(msgspec.Struct, frozen=True):
    """`.`"""


class Nil(msgspec.Struct, frozen=True):
    """`nil`"""


class Literal(msgspec.Struct, frozen=True):
    """A string or a boolean."""

    value: str | bool


class Number(msgspec.Struct, frozen=True):
    """A numeric constant, as Go types it where nothing else asks for a type: int or float64."""

    value: int | float


class Field(msgspec.Struct, frozen=True):
    """`.A.B`: fields of dot."""

    names: tuple[str, ...]


class Variable(msgspec.Struct, frozen=True):
    """`$x.A.B`; the name includes the `$`."""

    name: str
    names: tuple[str, ...]


class Chain(msgspec.Struct, frozen=True):
    """`(pipeline).A.B`"""

    start: "Expression"
    names: tuple[str, ...]


class FunctionName(msgspec.Struct, frozen=True):
    """The name of a function, which calls it."""

    name: str


class PipeCommand(msgspec.Struct, frozen=True):
    """An expression, or a function with its arguments."""

    head: "Expression"
    arguments: tuple["Expression", ...]


class Pipe(msgspec.Struct, frozen=True):
    """`$i, $x := a | b`: each command's value is the last argument of the next. `assigns`: `=` instead of `:=`."""

    variables: tuple[str, ...]
    assigns: bool
    commands: tuple[PipeCommand, ...]


Expression = Dot | Nil | Literal | Number | Field | Variable | Chain | FunctionName | Pipe


class Text(msgspec.Struct, frozen=True):
    """Text outside actions."""

    text: str


class Action(msgspec.Struct, frozen=True):
    """`{{pipeline}}`"""

    pipe: Pipe


class If(msgspec.Struct, frozen=True):
    """`{{if}}`"""

    pipe: Pipe
    body: "Block"
    otherwise: "Block"


class With(msgspec.Struct, frozen=True):
    """`{{with}}`"""

    pipe: Pipe
    body: "Block"
    otherwise: "Block"


class Range(msgspec.Struct, frozen=True):
    """`{{range}}`"""

    pipe: Pipe
    body: "Block"
    otherwise: "Block"


class Break(msgspec.Struct, frozen=True):
    """`{{break}}`"""


class Continue(msgspec.Struct, frozen=True):
    """`{{continue}}`"""


class Call(msgspec.Struct, frozen=True):
    """`{{template "name" pipeline}}`, also what `{{block}}` leaves where it stands."""

    name: str
    pipe: Pipe | None


Node = Text | Action | If | With | Range | Break | Continue | Call
Block = tuple[Node, ...]
