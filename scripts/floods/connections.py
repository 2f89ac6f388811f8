"""Floods that take connections: heads that never end, connections without a request, half-open ones.

They come from 127.0.0.2, so that the probes are strangers at another address.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Generator

from floods.harness import Target, counted, flood
from floods.http2 import ACK, ATTACKER, PING, PREFACE, SETTINGS, frame
from floods.memory import close, push

Running = Generator[None, None, str]
HOLD = 20  # seconds
PING_HEAD = b"\0\0\x08\x06\0"  # length, kind and flags


@flood("heads")
def heads(target: Target) -> Running:
    """Heads of 238 KiB without their end: 2,000 HTTP/1.1 connections."""
    yield
    head = f"GET /healthz HTTP/1.1\r\nhost: {target.address}\r\n".encode()
    head += b"".join(b"x-%d: %s\r\n" % (number, b"a" * 4000) for number in range(60))
    sockets, refused = connect(target, 2000)
    sent = push(sockets, head, HOLD)
    still = alive(sockets)
    close(sockets)
    return f"{sent / 1e6:.0f} MB taken of {len(sockets)} x 238 KiB, {refused} refused, {still} open after {HOLD} s"


@flood("idle-h2", IDLE_TIMEOUT="15s")
def idle_h2(target: Target) -> Running:
    """4,096 HTTP/2 connections without a request, which answer every PING; an idle timeout of 15 s."""
    yield
    sockets, refused = connect(target, 4096)
    push(sockets, PREFACE + frame(SETTINGS, 0, 0), 2)
    opened = alive(sockets)
    end = time.monotonic() + HOLD
    while time.monotonic() < end:
        for one in sockets:
            with contextlib.suppress(OSError):
                _, ping, rest = one.recv(4096).partition(PING_HEAD)
                if ping:
                    one.send(frame(PING, ACK, 0, rest[4:12]))
        time.sleep(0.5)
    still = alive(sockets)
    close(sockets)
    return f"{opened} of {len(sockets)} open, {refused} refused, {still} open after {HOLD} s"


@flood("connections")
def connections(target: Target) -> Running:
    """4,200 HTTP/1.1 connections: half of them silent, half with a body that stalls on a route that refuses it."""
    yield
    sockets, refused = connect(target, 4200)
    half = f"POST /nowhere HTTP/1.1\r\nhost: {target.address}\r\ncontent-length: 100000\r\n\r\nhalf".encode()
    push(sockets[::2], half, HOLD)
    still = alive(sockets)
    close(sockets)
    return f"{len(sockets)} opened, {refused} refused, {still} open after {HOLD} s"


def connect(target: Target, count: int) -> tuple[list[socket.socket], str]:
    """Opens connections, and counts those that fail."""
    sockets, failures = [], []
    for _ in range(count):
        try:
            one = socket.create_connection((target.host, target.port), timeout=2, source_address=ATTACKER)
            one.setblocking(False)
            sockets.append(one)
        except OSError as error:
            failures.append(type(error).__name__)
    return sockets, counted(failures) or "none"


def alive(sockets: list[socket.socket]) -> int:
    """How many connections the server has not closed."""
    count = 0
    for one in sockets:
        try:
            while one.recv(1 << 16):
                pass
        except BlockingIOError:
            count += 1
        except OSError:
            pass
    return count
