"""A hook, which nothing can take off again, that refuses every step onto a network.

Python imports a module of this name by itself, so child processes refuse too while this folder is
on PYTHONPATH.
"""

import ipaddress
import os
import socket
import sys

LOOPBACK = "PARABENCH_TEST_LOOPBACK"
"""Set in the environment while a test that is marked ``loopback`` runs."""

HOST_FIRST = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
ADDRESS_SECOND = ("socket.connect", "socket.sendto", "socket.sendmsg")

ATTEMPTS = "PARABENCH_TEST_ATTEMPTS"
"""A file to which every refused step is added, with the test that took it; in the environment, if
anyone wants it.
"""


class NetworkReached(BaseException):
    """Of no kind that code catches by accident."""


def refuse(event, arguments):
    if event in HOST_FIRST:
        host = arguments[0]
    elif event in ADDRESS_SECOND and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if not (os.environ.get(LOOPBACK) and is_here(host)):
        if os.environ.get(ATTEMPTS):
            with open(os.environ[ATTEMPTS], "a") as file:
                file.write(
                    f"{os.environ.get('PYTEST_CURRENT_TEST', 'no test')}\t{event} {host!r}\n"
                )
        raise NetworkReached(f"{event} {host!r}")


def is_here(host):
    if not host or host in ("localhost", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


sys.addaudithook(refuse)
