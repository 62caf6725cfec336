#!/bin/bash
# msgspec 0.22.0 (PyPI): no file object of the standard library satisfies a field of the type typing.BinaryIO.
#
# Guess: a struct with a field `stream: BinaryIO | None` is decoded with a hook that returns an open file.
# What happens: msgspec checks what the hook returns with isinstance, and the classes of `io` are not subclasses of
# typing.BinaryIO: "Expected `BinaryIO`, got `_io.BytesIO`". A subclass of both passes. Type checkers, which know the
# protocol and not the class, accept the program.
source "$(dirname "$0")/common/packages.sh"

pypi msgspec==0.22.0
cat >decode.py <<'PY'
import io
import typing

import msgspec


class Job(msgspec.Struct):
    stream: typing.BinaryIO | None


class Both(io.BytesIO, typing.BinaryIO):
    pass


for kind in (io.BytesIO, Both):
    try:
        job = msgspec.convert({"stream": 1}, Job, dec_hook=lambda wanted, value, kind=kind: kind())
        print(kind.__name__, "passes")
    except msgspec.ValidationError as error:
        print(kind.__name__, str(error).split(" - ")[0])
PY
expect "what the hook may return" 'BytesIO Expected `BinaryIO`, got `_io.BytesIO`;Both passes' \
  "$("$work/python/bin/python" decode.py | paste -sd';')"
