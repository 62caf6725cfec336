"""Values that must not be printed: the content of secrets, and variables that may hold a password or a token."""

import msgspec


class SecretBytes(msgspec.Struct, frozen=True):
    """The content of a secret. `bytes(secret)` is the content; its repr shows only the length."""

    content: bytes

    def __bytes__(self) -> bytes:
        return self.content

    def __len__(self) -> int:
        return len(self.content)

    def __repr__(self) -> str:
        return f"SecretBytes(<{len(self.content)} bytes>)"


class Variables(dict[str, str]):
    """Environment variables or build arguments by name. The repr shows the names, never the values."""

    def __repr__(self) -> str:
        return f"Variables({', '.join(sorted(self))})"
