"""Close the network to an interpreter that has this folder on its path.

Loopback stays open: processes of one machine may talk to each other.
"""

import ipaddress
import socket

_connect, _getaddrinfo = socket.socket.connect, socket.getaddrinfo


def _refuse(host: object) -> None:
    raise OSError(f"a page must not use the network, but this one asked for {host!r}")


def _is_local(host: object) -> bool:
    if host in ("localhost", None):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def connect(self: socket.socket, address: object) -> None:
    """Connect within the machine only."""
    if isinstance(address, tuple) and not _is_local(address[0]):
        _refuse(address[0])
    _connect(self, address)


def getaddrinfo(host: object, *arguments: object, **options: object) -> object:
    """Look up names of this machine only."""
    if not _is_local(host):
        _refuse(host)
    return _getaddrinfo(host, *arguments, **options)


socket.socket.connect = connect
socket.getaddrinfo = getaddrinfo
