"""The services that clones on several machines share, on this machine: `make services` runs them until Ctrl-C.

PostgreSQL, an MLflow server on it with proxied artifacts and a login, an SSH server, and moto in place of S3, which
keeps its objects only while it runs. All listen on 127.0.0.1 alone. What they keep, and the passwords, are in one
folder.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from helpers.shared_server import mlflow_server, stop, wait_for

HOST = "127.0.0.1"
BUCKET = "convzoo"
ADMIN, USER = "admin", "convzoo"
MISSING = "is missing; Debian, Ubuntu: apt install postgresql openssh-server"
AUTH = """\
[mlflow]
default_permission = EDIT
database_uri = {database}
admin_username = {admin}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""
SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


class Services(NamedTuple):
    """Where the services listen, and how to log in."""

    mlflow: str
    password: str  # of ADMIN in MLflow
    database: str  # of MLflow, with user and password
    s3: str
    ssh: str  # of the folder for a DVC remote
    key: Path  # the private key for ssh


@contextlib.contextmanager
def services(folder: Path, ports: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Iterator[Services]:
    """All services, which keep what they have in `folder`; a port of 0 is a free one.

    The ports are those of MLflow, PostgreSQL, S3 and SSH.
    """
    folder.mkdir(parents=True, exist_ok=True)
    secret = _secrets(folder / "secrets.json")
    with contextlib.ExitStack() as stack:
        mlflow_port, *others = (port or _free_port() for port in ports)
        database = stack.enter_context(_postgres(folder / "postgres", others[0], secret["database"]))
        s3 = stack.enter_context(_s3(folder, others[1]))
        ssh = stack.enter_context(_ssh(folder / "ssh", others[2]))
        config = folder / "auth.ini"
        config.write_text(AUTH.format(database=database + "_auth", admin=ADMIN))
        config.chmod(0o600)
        login = {
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
            "MLFLOW_AUTH_ADMIN_PASSWORD": secret["admin"],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secret["flask"],
        }
        mlflow = stack.enter_context(
            mlflow_server(folder / "mlflow", database, "--app-name", "basic-auth", port=mlflow_port, variables=login)
        )
        yield Services(mlflow, secret["admin"], database, s3, ssh, folder / "ssh/key")


def _secrets(file: Path) -> dict[str, str]:
    if not file.is_file():
        file.touch(0o600)
        file.write_text(json.dumps({name: secrets.token_urlsafe(18) for name in ("admin", "database", "flask")}))
    return json.loads(file.read_text())


@contextlib.contextmanager
def _postgres(folder: Path, port: int, password: str) -> Iterator[str]:
    """PostgreSQL with the databases mlflow and mlflow_auth; the address of the first. As root it runs as postgres."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda file: int(file.parts[4]))
    program = shutil.which("postgres") or (str(found[-1]) if found else _give_up("postgres"))
    programs, user = Path(program).resolve().parent, {"user": "postgres", "group": "postgres"} if _is_root() else {}
    if not (folder / "PG_VERSION").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        if _is_root():
            shutil.chown(folder, "postgres", "postgres")
        with tempfile.NamedTemporaryFile("w") as file:
            Path(file.name).chmod(0o644 if _is_root() else 0o600)
            file.write(password)
            file.flush()
            command = [programs / "initdb", "-D", folder, "-U", USER, "--auth=scram-sha-256", "--encoding=UTF8"]
            _run([*command, "--locale=C", f"--pwfile={file.name}"], cwd="/", **user)
    command = [programs / "postgres", "-D", folder, "-h", HOST, "-p", str(port), "-k", folder]
    with _process(command, folder.with_name("postgres.log"), port, signal.SIGINT, cwd="/", **user):
        import psycopg

        address = f"postgresql://{USER}:{password}@{HOST}:{port}"
        with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
            existing = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
            for name in {"mlflow", "mlflow_auth"} - existing:
                connection.execute(f"CREATE DATABASE {name}")
        yield f"{address}/mlflow"


@contextlib.contextmanager
def _s3(folder: Path, port: int) -> Iterator[str]:
    command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]
    with _process(command, folder / "s3.log", port):
        import boto3

        address = f"http://{HOST}:{port}"
        login = {"aws_access_key_id": USER, "aws_secret_access_key": USER, "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=address, **login).create_bucket(Bucket=BUCKET)
        yield address


@contextlib.contextmanager
def _ssh(folder: Path, port: int) -> Iterator[str]:
    """An SSH server on which whoever runs it logs in with the key of the folder."""
    import getpass

    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin") or _give_up("sshd")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host_key", "key"):
        if not (folder / name).is_file():
            _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name])
    (folder / "config").write_text(SSHD.format(port=port, folder=folder))
    if _is_root():
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd separates its privileges
    store = folder / "dvc"
    store.mkdir(exist_ok=True)
    with _process([program, "-D", "-e", "-f", folder / "config"], folder.with_name("ssh.log"), port):
        yield f"ssh://{getpass.getuser()}@{HOST}:{port}{store}"


@contextlib.contextmanager
def _process(
    command: list, log: Path, port: int, end: signal.Signals = signal.SIGTERM, **more: object
) -> Iterator[None]:
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True, **more)
    try:
        wait_for(lambda: socket.create_connection((HOST, port), 5).close(), process, log)
        yield
    finally:
        stop(process, end)


def _run(command: list, **more: object) -> None:
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


def _give_up(program: str) -> str:
    raise SystemExit(f"{program}: {MISSING}")


def _is_root() -> bool:
    return os.geteuid() == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


INSTRUCTIONS = """\
MLflow on PostgreSQL: {mlflow}, user {admin}, password in {folder}/secrets.json. In each clone:
  export MLFLOW_TRACKING_URI={mlflow} MLFLOW_TRACKING_USERNAME={admin}
  export MLFLOW_TRACKING_PASSWORD=$(python -c 'import json; print(json.load(open("{folder}/secrets.json"))["admin"])')
A DVC remote over SSH:
  dvc remote add -d shared {ssh}
  dvc remote modify --local shared keyfile {key}
A DVC remote on S3 (moto, which forgets its objects when it ends):
  dvc remote add s3 s3://{bucket}/dvc && dvc remote modify s3 endpointurl {s3}
  dvc remote modify --local s3 access_key_id {user} && dvc remote modify --local s3 secret_access_key {user}
Ctrl-C stops everything."""


def main() -> None:
    """Run the services on fixed ports until Ctrl-C."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".services").absolute()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), services(folder, (5000, 5433, 5050, 2222)) as running:
        about = running._asdict() | {"folder": folder, "admin": ADMIN, "bucket": BUCKET, "user": USER}
        print(INSTRUCTIONS.format(**about), flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
