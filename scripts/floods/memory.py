"""Floods that make requests hold memory: bodies, responses, pages, passwords."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Generator

from floods.harness import PASSWORD, Target, counted, flood, in_parallel
from floods.http2 import ATTACKER, LARGEST_WINDOW, Connection, drive, outcome

Running = Generator[None, None, str]
STREAMS = 32
UNFINISHED = b'{"email": "' + b"a" * 256_000
HOLD = 5  # seconds that a stalled client stays
HARD_PASSWORD = "4@8({[<69!|1|70$5+7%2" * 5


@flood("json-h2")
def json_h2(target: Target) -> Running:
    """Strangers who send unfinished JSON bodies of 250 KB: 40 HTTP/2 connections x 32 streams."""
    yield
    connections = [Connection((target.host, target.port)) for _ in range(40)]
    for connection in connections:
        for _ in range(STREAMS):
            fields = [("content-type", "application/json")]
            connection.request("POST", "/v1/auth/login", fields, UNFINISHED, end=False)
    drive(connections, HOLD + 5)
    text = outcome(connections)
    for connection in connections:
        connection.close()
    return f"40 x 32 bodies of 250 KB: {text}"


@flood("json-h1")
def json_h1(target: Target) -> Running:
    """Strangers who send unfinished JSON bodies of 250 KB: 1,000 HTTP/1.1 connections."""
    yield
    head = (
        f"POST /v1/auth/login HTTP/1.1\r\nhost: {target.address}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(UNFINISHED) + 10}\r\n\r\n"
    )
    sockets = [connect(target) for _ in range(1000)]
    sent = push(sockets, head.encode() + UNFINISHED, HOLD)
    close(sockets)
    return f"1,000 bodies of 250 KB, {sent / 1e6:.0f} MB taken"


@flood("stalled-h2")
def stalled_h2(target: Target) -> Running:
    """Downloads of a link that nobody reads: 100 HTTP/2 connections x 32 streams with endless windows."""
    path = link(target)
    yield
    connections = [stalled_connection(target) for _ in range(100)]
    for connection in connections:
        for _ in range(STREAMS):
            connection.request("GET", f"{path}?download=1")
        # Nothing is read from here on: only the socket's buffers fill.
        with contextlib.suppress(OSError):
            connection.flush()
    time.sleep(2 * HOLD)
    for connection in connections:
        connection.close()
    return "100 x 32 downloads"


@flood("stalled-h1")
def stalled_h1(target: Target) -> Running:
    """Downloads of a link that nobody reads: 500 HTTP/1.1 connections."""
    path = link(target)
    yield
    sockets = [connect(target, receive_buffer=4096) for _ in range(500)]
    push(sockets, f"GET {path}?download=1 HTTP/1.1\r\nhost: {target.address}\r\n\r\n".encode(), 2 * HOLD)
    close(sockets)
    return "500 downloads"


@flood("pages-window0")
def pages_window0(target: Target) -> Running:
    """Pages of a list that nobody reads: 2 HTTP/2 connections x 32 pages of 1,000 files with 8 KB of metadata."""
    token = target.register()

    def fill(worker: int) -> None:
        for number in range(250):
            file = target.upload(token, f"{worker}-{number}", b"")
            patch = {"metadata": {"d": "m" * 8000}}
            target.ok("PATCH", f"/v1/files/{file}", token, patch)

    in_parallel(4, fill)
    yield
    fields = [("authorization", f"Bearer {token}")]
    return unread_answers(target, 2, "/v1/files?limit=1000", fields, 3 * HOLD)


@flood("documents-h2")
def documents_h2(target: Target) -> Running:
    """The OpenAPI document, compressed, for strangers who read nothing: 100 HTTP/2 connections x 32 streams."""
    yield
    return unread_answers(target, 100, "/openapi.json", [("accept-encoding", "gzip")])


@flood("headers-h2")
def headers_h2(target: Target) -> Running:
    """Requests with 100 small headers, whose answers nobody reads: 200 HTTP/2 connections x 32 streams."""
    yield
    return unread_answers(target, 200, "/openapi.json", [(f"x-{number}", "a") for number in range(90)])


def unread_answers(target: Target, number: int, path: str, fields: list[tuple[str, str]], hold: float = HOLD) -> str:
    connections = [Connection((target.host, target.port), window=0) for _ in range(number)]
    for connection in connections:
        for _ in range(STREAMS):
            connection.request("GET", path, fields)
    drive(connections, hold)
    text = outcome(connections)
    for connection in connections:
        connection.close()
    return f"{number} x {STREAMS} requests: {text}"


@flood("sign-ins")
def sign_ins(target: Target) -> Running:
    """1,400 right sign-ins of 20 accounts, 40 at once, and then 60 uploads of 300 KB at once."""
    emails = [f"user{number}@example.com" for number in range(20)]
    tokens = [target.register(email) for email in emails]
    yield
    statuses = []
    for _ in range(35):
        statuses += in_parallel(40, lambda number: sign_in(target, emails[number % 20], PASSWORD))
    in_parallel(60, lambda number: target.upload(tokens[number % 20], f"file-{number}", b"x" * 300_000))
    return f"1,400 sign-ins: {counted(statuses)}"


@flood("wrong-sign-ins")
def wrong_sign_ins(target: Target) -> Running:
    """100 sign-ins of a stranger with wrong passwords, at once."""
    yield
    statuses = in_parallel(100, lambda number: sign_in(target, f"nobody{number}@example.com", "wrong password 17"))
    return f"100 sign-ins: {counted(statuses)}"


@flood("link-passwords")
def link_passwords(target: Target) -> Running:
    """One account creates 100 links at once, each with a password that is expensive to check; another user signs in."""
    token = target.register()
    target.register("other@example.com")
    file = target.upload(token, "file", b"content")
    yield

    def work(number: int) -> int | str:
        if number == 100:
            time.sleep(0.5)
            started = time.monotonic()
            status = sign_in(target, "other@example.com", PASSWORD)
            return f"{status} for the sign-in after {time.monotonic() - started:.1f} s"
        body = {"password": HARD_PASSWORD}
        return target.request("POST", f"/v1/files/{file}/links", token, body).status

    *statuses, other = in_parallel(101, work)
    return f"100 links: {counted(statuses)}; {other}"


@flood("uploads")
def uploads(target: Target) -> Running:
    """30 uploads of 20 MB at once."""
    tokens = [target.register() for _ in range(3)]
    content = bytes(20_000_000)
    yield

    def upload(number: int) -> int | str:
        path, headers = f"/v1/files?name={number}", {"content-type": "application/octet-stream"}
        try:
            return target.request("POST", path, tokens[number % 3], content, headers).status
        except OSError as error:
            return type(error).__name__

    return f"30 uploads of 20 MB: {counted(in_parallel(30, upload))}"


def sign_in(target: Target, email: str, password: str) -> int:
    return target.request("POST", "/v1/auth/login", body={"email": email, "password": password}).status


def link(target: Target) -> str:
    """The path of a link to a file of 4 MB."""
    token = target.register()
    file = target.upload(token, "file", bytes(4_000_000))
    url = target.ok("POST", f"/v1/files/{file}/links", token, {}).json()["url"]
    return "/" + url.split("/", 3)[3]


def stalled_connection(target: Target) -> Connection:
    connection = Connection((target.host, target.port), LARGEST_WINDOW, LARGEST_WINDOW)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return connection


def connect(target: Target, receive_buffer: int = 0) -> socket.socket:
    one = socket.socket()
    if receive_buffer:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    one.bind(ATTACKER)
    one.connect((target.host, target.port))
    one.setblocking(False)
    return one


def push(sockets: list[socket.socket], content: bytes, seconds: float) -> int:
    """Sends the same bytes on all sockets, as far as the server takes them within this time; returns their number."""
    left = dict.fromkeys(sockets, content)
    end = time.monotonic() + seconds
    sent = 0
    while time.monotonic() < end:
        for one, rest in left.items():
            with contextlib.suppress(OSError):
                count = one.send(rest[: 1 << 16]) if rest else 0
                left[one], sent = rest[count:], sent + count
        time.sleep(0.01)
    return sent


def close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()
