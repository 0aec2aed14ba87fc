"""Which addresses may be sent to, so that nobody can make this service call into its own network.

A name is resolved once for each connection, every address it has is checked, and the connection is
made to one of those: between a check and a second look-up the answer could change. What is checked
last is the socket's own address, so a literal address, or one in an odd notation, passes no other
way.
"""

import asyncio
import errno
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp.abc import AbstractResolver, ResolveResult

from services.ranges import Network

REFUSED = tuple(
    ip_network(each)
    for each in (
        # Versions of Python differ in what they call global; these are not, whatever it says.
        "192.0.0.0/24",
        "192.88.99.0/24",
        "3fff::/20",
        "5f00::/16",
        # These stand for other addresses, which could be internal.
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
        # Public by its number, yet answered by the machine's own host in one of the clouds.
        "168.63.129.16/32",
    )
)
"""Networks that are no public ones although their numbers look like it."""


class AddressRefusedError(OSError):
    """An address may not be connected to; the message says why."""

    def __init__(self, why: str) -> None:
        """Say why, in the form in which systems say such things, which libraries pass on."""
        super().__init__(errno.EACCES, why)


class Fence:
    """What one endpoint's connections may reach."""

    def __init__(self, allowed: Sequence[Network], *, plain: bool) -> None:
        """Allow public addresses and those of the networks `allowed`.

        With `plain`, for connections without TLS, only the latter.
        """
        self.allowed = tuple(allowed)
        self.plain = plain
        self.opened: str | None = None
        """The address for which a socket was opened last."""

    def verify(self, text: str) -> None:
        """Raise `AddressRefusedError` unless this address may be connected to."""
        address = parsed(text)
        if any(address in each for each in self.allowed):
            return
        if self.plain:
            raise AddressRefusedError(
                f"{address} is sent to with https alone; NOM_WEBHOOK_ALLOW has no network of it"
            )
        if not is_public(address):
            raise AddressRefusedError(
                f"{address} is an internal address; NOM_WEBHOOK_ALLOW has no network of it"
            )

    def open_socket(
        self, found: tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
    ) -> socket.socket:
        """Return the socket for an address that may be connected to; raises otherwise."""
        family, kind, protocol, _, address = found
        self.verify(address[0])
        made = socket.socket(family, kind, protocol)
        made.settimeout(0)
        self.opened = address[0]
        return made


class Resolver(AbstractResolver):
    """Looks names up, and fails where any address of one may not be reached."""

    def __init__(self, fence: Fence) -> None:
        """Let through what `fence` does."""
        self.fence = fence

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return every address of a name; raises `OSError` when one of them is refused."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        # A name with one good and one internal address is refused whole: nobody needs such a name.
        for each in found:
            self.fence.verify(str(each[4][0]))
        return [
            ResolveResult(
                hostname=host,
                host=str(each[4][0]),
                port=port,
                family=each[0],
                proto=each[2],
                flags=socket.AI_NUMERICHOST,
            )
            for each in found
        ]

    async def close(self) -> None:
        """Let go of nothing: the system's resolver is used."""


def parsed(text: str) -> IPv4Address | IPv6Address:
    """Return an address without its zone; one that carries an IPv4 address is that one."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address belongs to nobody's internal network.

    Private, shared (CGNAT), loopback, link-local, documentation and reserved ranges do not.
    """
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv6Address) and address.is_site_local:
        return False
    return not any(address in each for each in REFUSED)


def is_refused_literal(host: str, allowed: Sequence[Network]) -> bool:
    """Tell whether a host is an address, in plain notation, that can never be sent to."""
    try:
        Fence(allowed, plain=False).verify(host)
    except AddressRefusedError:
        return True
    except ValueError:
        return False
    return False
