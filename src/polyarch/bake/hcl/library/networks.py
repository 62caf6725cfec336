"""IP networks in CIDR notation."""

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

from polyarch.bake.hcl import types, values
from polyarch.bake.hcl.functions import FunctionError, FunctionHost, FunctionTable, whole
from polyarch.bake.hcl.values import HclValue

TABLE = FunctionTable()
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(value: HclValue) -> _Network:
    text: str = value.data
    try:
        # Go takes prefixes in decimal only, and does not default them.
        if "/" not in text or not text.rpartition("/")[2].isdecimal():
            raise ValueError
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise FunctionError(f"{text!r} is not a network, as in 10.0.0.0/8") from None


@TABLE.define("cidrhost prefix:string hostnum:number")
def _cidrhost(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    network, number = _network(given[0]), whole(given[1], "hostnum")
    bits = network.max_prefixlen - network.prefixlen
    if not -(1 << bits) <= number < 1 << bits:
        raise FunctionError(f"{network} has no host {number}")
    # From the end if negative: -1 is the last address.
    found = network.network_address + number if number >= 0 else network.broadcast_address + (number + 1)
    return values.text(str(found))


@TABLE.define("cidrnetmask prefix:string")
def _cidrnetmask(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.text(str(_network(given[0]).netmask))


@TABLE.define("cidrsubnet prefix:string newbits:number netnum:number")
def _cidrsubnet(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    network, bits, number = _network(given[0]), whole(given[1], "newbits"), whole(given[2], "netnum")
    length = network.prefixlen + bits
    if not 0 <= bits <= 32:
        raise FunctionError("newbits must be from 0 to 32")
    if length > network.max_prefixlen:
        raise FunctionError(f"{network} cannot be extended by {bits} bits")
    if not 0 <= number < 1 << bits:
        raise FunctionError(f"{network} has no subnet {number} of {bits} more bits")
    address = int(network.network_address) | (number << (network.max_prefixlen - length))
    return values.text(f"{type(network.network_address)(address)}/{length}")


@TABLE.define("cidrsubnets prefix:string *newbits:number")
def _cidrsubnets(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    network = _network(given[0])
    found: list[HclValue] = []
    following = int(network.network_address)
    end = int(network.broadcast_address) + 1
    for one in given[1:]:
        bits = whole(one, "newbits")
        length = network.prefixlen + bits
        if not 1 <= bits <= 32:
            raise FunctionError("newbits must be from 1 to 32")
        if length > network.max_prefixlen:
            raise FunctionError(f"{network} cannot be extended by {bits} bits")
        size = 1 << (network.max_prefixlen - length)
        start = -(-following // size) * size
        following = start + size
        if following > end:
            raise FunctionError(f"{network} has no space for another subnet of {length} bits")
        found.append(values.text(f"{type(network.network_address)(start)}/{length}"))
    return values.list_of(types.STRING, found)
