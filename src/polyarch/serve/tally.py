"""How much each address uses: of connections, and of unfinished uploads."""

import ipaddress
from collections import Counter


class Tally:
    """Counts what is in use, in all and by address. `total` and `each` are the limits."""

    def __init__(self, total: int, each: int) -> None:
        self._total, self._each = total, each
        self._used: Counter[str] = Counter()
        self._all = 0

    def take(self, address: str) -> bool:
        """Count one more of an address; False if that is too many. Addresses of this machine have no limit each."""
        if self._all >= self._total or (self._used[address] >= self._each and not is_here(address)):
            return False
        self._all += 1
        self._used[address] += 1
        return True

    def give(self, address: str) -> None:
        """Count one less."""
        self._all -= 1
        self._used[address] -= 1
        if not self._used[address]:
            del self._used[address]

    def __len__(self) -> int:
        return self._all


def network(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        if not parsed.is_loopback:
            return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
    return str(parsed)


def is_here(address: str) -> bool:
    """Whether an address is one of this machine's loopback interface."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return True  # a socket without addresses
