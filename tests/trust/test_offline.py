"""The network is blocked: were it not, no other test would show that nothing connects anywhere."""

import socket
import subprocess
import sys
import urllib.request

import pytest

OUTSIDE = "192.0.2.1"  # RFC 5737: belongs to nobody


def reached(action) -> bool:
    try:
        action()
    except BaseException as error:
        return type(error).__name__ != "NetworkReached"
    return True


ACTIONS = {
    "connect": lambda: socket.socket().connect((OUTSIDE, 80)),
    "connect_ex": lambda: socket.socket().connect_ex((OUTSIDE, 80)),
    "connect to loopback": lambda: socket.socket().connect(("127.0.0.1", 9)),
    "resolve": lambda: socket.getaddrinfo("example.com", 80),
    "datagram": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", (OUTSIDE, 53)),
    "urllib": lambda: urllib.request.urlopen("http://example.com", timeout=1),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_no_way_onto_a_network(name):
    assert not reached(ACTIONS[name])


def test_children_are_blocked_too():
    code = f"import socket; socket.socket().connect(({OUTSIDE!r}, 80))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "NetworkReached: socket.connect" in done.stderr


@pytest.mark.loopback
def test_a_marked_test_may_talk_to_itself():
    server = socket.create_server(("127.0.0.1", 0))
    socket.create_connection(server.getsockname(), timeout=5).close()
    assert not reached(ACTIONS["connect"])
    assert not reached(ACTIONS["resolve"])


def test_between_processes_of_this_machine_it_works():
    one, other = socket.socketpair()
    one.sendall(b"x")
    assert other.recv(1) == b"x"
