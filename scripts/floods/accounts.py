"""Floods of one account that make the server work: searches and exports."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from collections.abc import Generator
from urllib.parse import quote

from floods.harness import Target, counted, flood, in_parallel

Running = Generator[None, None, str]
FILES = 3000
LONG = "a" * 255
UPLOADERS = 8


def upload_all(target: Target, token: str, places: list[tuple[str, str]]) -> None:
    """Uploads an empty file to each path and name."""

    def upload(number: int) -> None:
        connection = http.client.HTTPConnection(target.host, target.port, timeout=120)
        with contextlib.closing(connection):
            for path, name in places[number::UPLOADERS]:
                fields = {"authorization": f"Bearer {token}", "content-type": "application/octet-stream"}
                connection.request("POST", f"/v1/files?path={quote(path)}&name={quote(name)}", b"", fields)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 201, answer.status

    in_parallel(UPLOADERS, upload)


def search_target(target: Target) -> str:
    token = target.register()
    upload_all(target, token, [("/".join([LONG] * 3), "a" * 247 + f"{number:04}") for number in range(FILES)])
    return token


SEARCH = f"/v1/files?limit=1&q={'a' * 254}b"


@flood("searches")
def searches(target: Target) -> Running:
    """One account that searches 3,000 long names for a long text: 100 at once, three times."""
    token = search_target(target)
    yield
    statuses: list[int | str] = []
    for _ in range(3):
        statuses += [answer.status for answer in in_parallel(100, lambda _: target.request("GET", SEARCH, token))]
    return f"300 searches: {counted(statuses)}"


@flood("searches-hang-up")
def searches_hang_up(target: Target) -> Running:
    """The same, but nobody waits for the answers: 16 every 0.3 s for 6 s."""
    token = search_target(target)
    yield
    head = f"GET {SEARCH} HTTP/1.1\r\nhost: {target.address}\r\nauthorization: Bearer {token}\r\n\r\n".encode()
    for _ in range(20):
        sockets = [socket.create_connection((target.host, target.port)) for _ in range(16)]
        for open_socket in sockets:
            open_socket.sendall(head)
        time.sleep(0.3)
        for open_socket in sockets:
            open_socket.close()
    return "320 searches, abandoned"


@flood("exports")
def exports(target: Target) -> Running:
    """One account that exports 3,000 + 3,000 empty files whose names collide: 4 at once."""
    token = target.register()
    numbered = [("", "a"), *(("", f"a ({number})") for number in range(1, FILES))]
    upload_all(target, token, [*numbered, *(("a", str(number)) for number in range(FILES))])
    yield
    statuses = [answer.status for answer in in_parallel(4, lambda _: target.request("GET", "/v1/me/export", token))]
    return f"4 exports: {counted(statuses)}"


@flood("exports-held")
def exports_held(target: Target) -> Running:
    """Accounts that export 3,000 files with the longest paths, and read nothing: 30 at once."""
    token = search_target(target)
    yield
    head = f"GET /v1/me/export HTTP/1.1\r\nhost: {target.address}\r\nauthorization: Bearer {token}\r\n\r\n".encode()
    sockets = [socket.create_connection((target.host, target.port)) for _ in range(30)]
    for open_socket in sockets:
        open_socket.sendall(head)
    time.sleep(10)
    for open_socket in sockets:
        open_socket.close()
    return "30 exports of one account, unread"
