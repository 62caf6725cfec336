"""What a command and a member of a farm say to each other about one step.

Only a `Ticket` goes through the scheduler. With it, a member connects to the command and says which ticket it has; all
else follows on that connection, which ends with the step.
"""

from enum import IntEnum
from typing import Literal

import msgspec

from polyarch.builder.remote import RemoteStep
from polyarch.errors import CorruptError
from polyarch.secret import SecretBytes, Variables

# The first line of a connection: the protocol, what it is for, the ticket and its token.
PROTOCOL = "polyarch-farm/1"
LONGEST_LINE = 256
Purpose = Literal["step", "recall", "http"]


class Ticket(msgspec.Struct, frozen=True):
    """Where a step is to be fetched: the command's host and port, the number of the step in this command, and a token
    for it. Its repr hides the token.
    """

    host: str
    port: int
    number: int
    token: str

    def __repr__(self) -> str:
        return f"Ticket({self.host}:{self.port}, step {self.number})"

    __str__ = __repr__

    def line(self, purpose: Purpose, member: str = "") -> bytes:
        """The first line of a connection."""
        return f"{PROTOCOL} {purpose} {self.number} {self.token} {member or '-'}\n".encode()


class Frame(IntEnum):
    """The kinds of frames. A frame is its kind (one byte), a number and a length (four bytes each, big endian), and
    so many bytes. The number is that of a stream where a frame belongs to one.
    """

    # To the member. The number of CANCEL is that of the ticket.
    ORDER = 1
    SECRETS = 2
    CANCEL = 3
    # To the command: the number is 1 for standard output and 2 for standard error; an ssh agent's id; a warning.
    OUTPUT = 10
    OPEN = 11
    WARNING = 12
    # To the command: a step begins, and what follows of OUTPUT is its; a blob of its layer, if it is small; its encoded
    # `StepResult`, after those. The number is that of the step in its ticket.
    BEGIN = 13
    BLOB = 14
    RESULT = 15
    # To the command: the first line of a connection for another ticket. What follows is about that.
    TAKE = 16
    # Both: bytes of a connection to an ssh agent, and its end.
    DATA = 20
    END = 21


class CarrierAddress(msgspec.Struct, frozen=True, kw_only=True):
    """The repository that carries the layers. With `through`, its HTTP goes through the command's own port, and the
    host in the reference stands for that.
    """

    reference: str
    through: bool = False


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The steps, where their layers are, and the ids of the ssh agents that the command can connect to.

    `first` is the number of the first one in its ticket. Each of the others has no `layers`: its file system is that of
    the one before, with its result on top.
    """

    steps: tuple[RemoteStep, ...]
    first: int = 0
    carrier: CarrierAddress
    agents: tuple[str, ...] = ()


class CarrierLogin(msgspec.Struct, frozen=True):
    """The user and password, or the tokens, for the carrier: the fields of a `Credential`. Its repr hides them."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return "CarrierLogin(…)"


class OrderSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to an order and is never printed or stored. Its repr hides all."""

    secrets: dict[str, bytes] = {}
    proxies: dict[str, str] = {}
    login: CarrierLogin | None = None

    def __repr__(self) -> str:
        return f"OrderSecrets({', '.join(sorted(self.secrets))})"

    def contents(self) -> dict[str, SecretBytes]:
        """The secrets by id."""
        return {name: SecretBytes(content) for name, content in self.secrets.items()}

    def variables(self) -> Variables:
        """The proxies by name."""
        return Variables(self.proxies)


_decode_secrets = msgspec.msgpack.Decoder(OrderSecrets).decode


def encode_secrets(secrets: OrderSecrets) -> bytes:
    """The secrets for a frame."""
    return msgspec.msgpack.encode(secrets)


def decode_secrets(raw: bytes) -> OrderSecrets:
    """The secrets of a frame. Raises CorruptError, which does not repeat them."""
    try:
        return _decode_secrets(raw)
    except (msgspec.DecodeError, ValueError):
        raise CorruptError("the secrets of a remote step are malformed") from None
