"""Encodings, checksums, identifiers and secrets."""

import base64
import binascii
import hashlib
from collections.abc import Sequence

from polyarch import csvfields
from polyarch.bake.hcl import jsonvalues, types, values
from polyarch.bake.hcl.functions import FunctionError, FunctionHost, FunctionTable, whole
from polyarch.bake.hcl.values import HclValue

TABLE = FunctionTable()
# bcrypt doubles its work with each step; 14 takes about a second.
_MAX_COST = 14
_EXTRA = "pip install polyarch[bake]"


def _bytes(value: HclValue) -> bytes:
    return str(value.data).encode("utf-8", "surrogatepass")


def _digest(name: str) -> None:
    @TABLE.define(f"{name} str:string")
    def call(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
        return values.text(hashlib.new(name, _bytes(given[0]), usedforsecurity=False).hexdigest())


for _name in ("md5", "sha1", "sha256", "sha512"):
    _digest(_name)


@TABLE.define("base64encode str:string")
def _base64encode(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.text(base64.b64encode(_bytes(given[0])).decode())


@TABLE.define("base64decode str:string")
def _base64decode(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    try:
        return values.text(_decoded(given[0].data).decode())
    except UnicodeDecodeError:
        raise FunctionError("the decoded bytes are not text in UTF-8") from None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.replace("\n", "").replace("\r", "").encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise FunctionError("the text is not base64") from None


@TABLE.define("urlencode str:string")
def _urlencode(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    from urllib.parse import quote_plus

    return values.text(quote_plus(_bytes(given[0]), safe=""))


@TABLE.define("jsonencode val:any?")
def _jsonencode(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.text("null" if given[0].is_null else jsonvalues.encoded(given[0], given[0].type))


@TABLE.define("jsondecode str:string")
def _jsondecode(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    try:
        return jsonvalues.parse(given[0].data)
    except values.ValueTooLargeError:
        raise
    except (ValueError, RecursionError) as error:
        raise FunctionError(f"the text is not JSON: {error}") from None


@TABLE.define("csvdecode str:string")
def _csvdecode(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    try:
        rows = csvfields.records(given[0].data)
    except csvfields.CsvError as error:
        raise FunctionError(f"the text is not CSV: {error}") from None
    if not rows:
        raise FunctionError("the text has no line with the names of the columns")
    names, *rest = rows
    if len(set(names)) != len(names):
        raise FunctionError("two columns have the same name")
    for number, row in enumerate(rest, 2):
        if len(row) != len(names):
            raise FunctionError(f"line {number} has {len(row)} fields, and there are {len(names)} columns")
    found = [values.object_of(dict(zip(names, map(values.text, row), strict=True))) for row in rest]
    return values.list_of(types.object_type(dict.fromkeys(names, types.STRING)), found)


@TABLE.define("uuidv4")
def _uuidv4(_: Sequence[HclValue], __: FunctionHost) -> HclValue:
    import uuid

    return values.text(str(uuid.uuid4()))


@TABLE.define("uuidv5 namespace:string name:string")
def _uuidv5(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    import uuid

    known = {
        "dns": uuid.NAMESPACE_DNS,
        "url": uuid.NAMESPACE_URL,
        "oid": uuid.NAMESPACE_OID,
        "x500": uuid.NAMESPACE_X500,
    }
    namespace = known.get(given[0].data)
    try:
        return values.text(str(uuid.uuid5(namespace or uuid.UUID(given[0].data), given[1].data)))
    except ValueError:
        raise FunctionError(f"{given[0].data!r} is not a namespace: dns, url, oid, x500 or a UUID") from None


@TABLE.define("bcrypt str:string *cost:number")
def _bcrypt(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    if len(given) > 2:
        raise FunctionError("it takes at most two arguments")
    cost = whole(given[1], "cost") if len(given) == 2 else 10
    if not 0 <= cost <= _MAX_COST:
        raise FunctionError(f"a cost above {_MAX_COST} takes too long" if cost > 0 else "cost is negative")
    # As in Go, a cost below the least one means the default.
    cost = cost if cost >= 4 else 10
    if len(_bytes(given[0])) > 72:
        raise FunctionError("a text of more than 72 bytes cannot be hashed")
    try:
        import bcrypt
    except ImportError:
        raise FunctionError(f"the Python package bcrypt is missing: {_EXTRA}") from None
    hashed: bytes = bcrypt.hashpw(_bytes(given[0]), bcrypt.gensalt(cost, prefix=b"2a"))
    return values.text(hashed.decode())


@TABLE.define("rsadecrypt ciphertext:string privatekey:string")
def _rsadecrypt(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    ciphertext = _decoded(given[0].data)
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import padding, rsa
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise FunctionError(f"the Python package cryptography is missing: {_EXTRA}") from None
    try:
        key = load_pem_private_key(_bytes(given[1]), None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise FunctionError("the key is not an RSA key")
        return values.text(key.decrypt(ciphertext, padding.PKCS1v15()).decode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FunctionError(f"the text cannot be decrypted: {error}") from None
