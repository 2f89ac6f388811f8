"""Starts a server, floods it from another process, and measures it."""

from __future__ import annotations

import contextlib
import http.client
import importlib
import json
import multiprocessing
import os
import pkgutil
import resource
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, NamedTuple

PASSWORD = "seven quiet herons measure rain"
COLUMNS = [
    "Flood",
    "Sent",
    "RSS before",
    "HWM",
    "RSS after idling",
    "CPU",
    "`/healthz`, worst",
    "another user's list, worst",
]
TICKS = os.sysconf("SC_CLK_TCK")

Flood = Callable[["Target"], Iterator[None]]
FLOODS: dict[str, Flood] = {}
SETTINGS: dict[str, dict[str, str]] = {}


def flood(name: str, **settings: str) -> Callable[[Flood], Flood]:
    """Registers a generator. It prepares what it needs, yields once, floods, and returns a text: what it sent.

    `settings` are environment variables of the server without their prefix STRONGROOM_.
    """

    def register(function: Flood) -> Flood:
        FLOODS[name] = function
        SETTINGS[name] = {f"STRONGROOM_{key}": value for key, value in settings.items()}
        return function

    return register


def load() -> None:
    """Loads all modules with floods."""
    package = importlib.import_module("floods")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"floods.{module.name}")


# ---------------------------------------------------------------------------
# The server under test, and clients of it


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)


class Target:
    """The server as a flood sees it."""

    def __init__(self, address: str, data: Path):
        self.address = address
        host, port = address.rsplit(":", 1)
        self.host, self.port = host, int(port)
        self.data = data

    def request(
        self,
        method: str,
        path: str,
        token: str = "",
        body: dict | bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own. A `dict` is sent as JSON."""
        fields = dict(headers or {})
        if token:
            fields["authorization"] = f"Bearer {token}"
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            fields["content-type"] = "application/json"
        connection = http.client.HTTPConnection(self.host, self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request(method, path, body, fields)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def ok(self, *arguments, **options) -> Answer:
        """A request that must succeed, to prepare a flood."""
        answer = self.request(*arguments, **options)
        if answer.status >= 300:
            sys.exit(f"flood: {arguments[:2]}: {answer.status} {answer.body[:500]!r}")
        return answer

    def register(self, email: str = "") -> str:
        """Creates an account with the password PASSWORD, and returns a token of its session."""
        account = {"email": email or f"{secrets.token_hex(8)}@example.com", "name": "Flood", "password": PASSWORD}
        return self.ok("POST", "/v1/auth/register", body=account).json()["token"]

    def upload(self, token: str, name: str, content: bytes) -> str:
        """Uploads a file, and returns its id."""
        path = f"/v1/files?name={name}"
        return self.ok("POST", path, token, content, {"content-type": "application/octet-stream"}).json()["id"]


def in_parallel(count: int, work: Callable[[int], object]) -> list:
    """Runs `work(0)`, `work(1)`, ... at once, each in a thread, and returns the results in this order."""
    results: list = [None] * count

    def run(number: int) -> None:
        results[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def counted(statuses: list[int | str]) -> str:
    """For example: `47 x 201, 53 x 503`."""
    return ", ".join(f"{count} x {status}" for status, count in sorted(Counter(statuses).items(), key=str))


class MemoryLimit:
    """A control group of its own (version 2 or 1, as root) that limits the memory of a process."""

    def __init__(self, mebibytes: int):
        version_2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
        root = Path("/sys/fs/cgroup") if version_2 else Path("/sys/fs/cgroup/memory")
        self.group = root / f"strongroom-flood-{os.getpid()}"
        self.group.mkdir()
        limit = self.group / ("memory.max" if version_2 else "memory.limit_in_bytes")
        limit.write_text(str(mebibytes << 20))

    def enter(self) -> None:
        (self.group / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self) -> None:
        for _ in range(50):
            try:
                self.group.rmdir()
                return
            except OSError:
                time.sleep(0.1)


class Server:
    def __init__(self, binary: str, settings: dict[str, str], folder: Path, limit: MemoryLimit | None = None):
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STRONGROOM_", "AWS_", "DATABASE_URL", "STORE_URL"))
        }
        environment.update(
            STRONGROOM_LISTEN="127.0.0.1:0",
            STRONGROOM_DATA_DIR=str(folder / "data"),
            STRONGROOM_REGISTRATIONS_PER_ADDRESS="1000",
            STRONGROOM_LOG="warn",
        )
        environment.update(settings)
        self.log = folder / "log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [str(Path(binary).absolute()), "serve"],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                preexec_fn=limit.enter if limit else None,
            )
        for line in self.process.stdout:
            if "listening on " in line:
                self.address = line.split("listening on ")[1].split(")")[0].strip()
                break
        else:
            sys.exit(f"flood: the server did not start: {self.log.read_text()}")
        # Drains its output, so that a full pipe never blocks it.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def memory(self, name: str) -> float:
        """A value of /proc/PID/status, in MiB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        raise KeyError(name)

    def cpu(self) -> float:
        """Seconds of CPU time, in user and kernel mode."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def forget_peak(self) -> None:
        """HWM is then the highest RSS from now on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Probe:
    """Repeats a request, twenty times per second, and records the slowest response and every status other than 200."""

    def __init__(self, target: Target, path: str, token: str = ""):
        self.target, self.path, self.token = target, path, token
        self.worst, self.others = 0.0, []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.ended.is_set():
            started = time.monotonic()
            try:
                status = self.target.request("GET", self.path, self.token).status
            except (OSError, http.client.HTTPException) as error:
                status = type(error).__name__
            self.worst = max(self.worst, time.monotonic() - started)
            if status != 200:
                self.others.append(status)
            time.sleep(0.05)

    def stop(self) -> str:
        self.ended.set()
        self.thread.join()
        return f"{self.worst:.2f} s" + (f" ({counted(self.others)})" if self.others else "")


# ---------------------------------------------------------------------------
# One row


def measure(name: str, binary: str, settings: dict[str, str], idle: float, mebibytes: int = 0) -> list[str]:
    """Floods a new server, perhaps with limited memory, and returns a row of the table."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limit = MemoryLimit(mebibytes) if mebibytes else None
    with tempfile.TemporaryDirectory(prefix="strongroom-flood-") as folder:
        server = Server(binary, {**SETTINGS[name], **settings}, Path(folder), limit)
        try:
            return row(name, server, Target(server.address, Path(folder) / "data"), idle)
        finally:
            server.stop()
            if limit:
                limit.remove()


def row(name: str, server: Server, target: Target, idle: float) -> list[str]:
    token = target.register()
    running = FLOODS[name](target)
    next(running)
    before, spent = server.memory("VmRSS"), server.cpu()
    server.forget_peak()
    probes = [Probe(target, "/healthz"), Probe(target, "/v1/files", token)]
    sent = in_another_process(running)
    worst = [probe.stop() for probe in probes]
    if server.process.poll() is not None:
        return [name, sent, f"{before:.0f}", "", "killed", "", *worst]
    peak = server.memory("VmHWM")
    time.sleep(idle)
    after, spent = server.memory("VmRSS"), server.cpu() - spent
    return [name, sent, f"{before:.0f}", f"{peak:.0f}", f"{after:.0f}", f"{spent:.1f} s", *worst]


def in_another_process(running: Iterator[None]) -> str:
    """Runs the second half of a flood where it cannot slow the probes down."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)

    def run() -> None:
        try:
            next(running)
        except StopIteration as end:
            send.send(str(end.value))

    process = context.Process(target=run)
    process.start()
    send.close()
    try:
        return receive.recv()
    except EOFError:
        return "the flood failed"
    finally:
        process.join()
