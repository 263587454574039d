"""Which addresses are of the internet: what a stranger names must not lead into the networks of the host."""

import ipaddress

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: the last four bytes are an IPv4 address."""
NOT_PUBLIC = [ipaddress.ip_network(one) for one in ("192.0.0.0/24", "168.63.129.16/32")]
"""Protocol assignments (RFC 6890), of which Python 3.11 has not all; and Azure's host, which answers inside only."""


def is_public(address: str) -> bool:
    """Whether it is of the internet, and does not stand for one that is not."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
    elif any(ip in network for network in NOT_PUBLIC):
        return False
    # RFC 3879: site-local addresses are no more, and Python takes them for global ones.
    local = isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local
    return ip.is_global and not (local or ip.is_multicast or ip.is_reserved)
