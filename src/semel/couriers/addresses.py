"""Which network addresses are anybody's: a webhook must not reach what is for this network alone."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

__all__ = ["is_public"]

_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
"""Addresses of IPv4 as a translator has them (RFC 6052)."""
_COMPATIBLE: Final = IPv6Network("::/96")
"""The same, as some systems still take them (RFC 4291, 2.5.5.1)."""
_SITE_LOCAL: Final = IPv6Network("fec0::/10")
"""Private by an older rule (RFC 3879)."""

_CLOUDS: Final = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"))
"""Where clouds answer their own machines alone, though Python's tables may have it public: among the addresses for
protocols (RFC 6890), where Oracle's metadata is; Azure's platform
(https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16)."""


def is_public(address: str) -> bool:
    """Tell whether an address is one of the public network, and leads nowhere else by way of a tunnel."""
    return all(map(_is_public, _all_of(ip_address(address.partition("%")[0]))))


def _is_public(one: IPv4Address | IPv6Address) -> bool:
    # The Python of a system may not know of each; `is_global` of 3.11 has multicast, and older tables.
    special = one.is_private or one.is_loopback or one.is_link_local or one.is_multicast or one.is_reserved
    clouds = any(one in network for network in _CLOUDS)  # of another version: in none
    return one.is_global and not special and not clouds and not one.is_unspecified


def _all_of(one: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """Yield the address, and those that it carries within: what a tunnel or a translator connects to."""
    inner = tuple(_within(one)) if isinstance(one, IPv6Address) else ()
    if not inner:
        yield one
    yield from inner


def _within(one: IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    if one.ipv4_mapped is not None:
        yield one.ipv4_mapped
    elif one in _TRANSLATED:
        yield IPv4Address(one.packed[-4:])
    elif one.sixtofour is not None:
        yield one.sixtofour
    elif one.teredo is not None or one in _COMPATIBLE or one in _SITE_LOCAL:
        yield IPv4Address(0)
