"""A real Roundup issue tracker on loopback, for the ticketing tests and the demo. Standard library only.

    python scripts/roundup_server.py start DIRECTORY [--port N] [--user agent] [--rate-limit CALLS]

creates an environment `.venv-roundup` beside `scripts/` (once; Roundup from requirements/roundup.txt, by hash),
creates a tracker in DIRECTORY unless one is there, and serves it. When it can be used, one JSON line is written:

    {"url": "http://127.0.0.1:PORT/", "rest_url": "http://127.0.0.1:PORT/rest", "user": "agent", "password": "..."}

User and password were made with the tracker and are kept in DIRECTORY. Mail goes to a file there, never out. The
server ends with its parent process, and on SIGTERM. `install` only creates the environment. Not for production: a
tracker that others use is run by Roundup's own server, behind TLS.
"""

import argparse
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from importlib import import_module
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements" / "roundup.txt"
ENVIRONMENT = ROOT / ".venv-roundup"
HOST = "127.0.0.1"
ACCOUNT = "account.json"


def install(environment: Path = ENVIRONMENT) -> Path:
    """The Python of the environment, which is created if it is absent, half made, or of other requirements."""
    python = environment / "bin" / "python"
    marker = environment / "installed"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    with REQUIREMENTS.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes start at once
        if not (marker.is_file() and marker.read_text() == wanted):
            sys.stderr.write(f"creating {environment} with Roundup\n")
            run([sys.executable, "-m", "venv", "--clear", str(environment)])
            run([str(python), "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", str(REQUIREMENTS)])
            marker.write_text(wanted)
    return python


def run(command: list[str]) -> None:
    """Raises `SystemExit` with the end of what the command said."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")


def create(home: Path, user: str) -> None:
    """A "classic" tracker in SQLite with one user; all or nothing, so a killed start leaves no half tracker."""
    if home.exists() and any(home.iterdir()):
        raise SystemExit(f"{home} is not empty and holds no tracker: give another directory")
    home.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
    password = secrets.token_urlsafe(18)
    try:
        admin("-i", str(new), "install", "classic", "sqlite")
        mail = {("mail", "domain"): "localhost", ("mail", "host"): "localhost", ("mail", "debug"): "outgoing-mail.txt"}
        # Passwords here protect nothing, and Roundup checks one with every request: 0.2 s at its own 250 000 rounds.
        rounds = {("main", "password_pbkdf2_default_rounds"): "1000"}
        configure(new, {("tracker", "web"): f"http://{HOST}/", **mail, **rounds})
        admin("-i", str(new), "initialise", secrets.token_urlsafe(18))
        account = [f"username={user}", f"password={password}", "roles=User", f"address={user}@localhost"]
        admin("-i", str(new), "create", "user", *account)
        (new / ACCOUNT).touch(mode=0o600)
        (new / ACCOUNT).write_text(json.dumps({"user": user, "password": password}))
        if home.exists():
            home.rmdir()
        new.rename(home)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def admin(*arguments: str) -> None:
    code = "import sys; from roundup.scripts.roundup_admin import run; sys.exit(run())"
    run([sys.executable, "-c", code, *arguments])


def configure(home: Path, values: dict[tuple[str, str], str]) -> None:
    """Set (section, key) of config.ini; a key that is commented out there is put in effect."""
    path = home / "config.ini"
    lines = path.read_text().splitlines()
    section = ""
    for number, line in enumerate(lines):
        if line.startswith("["):
            section = line.strip("[]")
        key, equals, _ = line.removeprefix("#").partition(" =")
        if equals and (section, key) in values:
            lines[number] = f"{key} = {values[section, key]}"
    path.write_text("\n".join(lines) + "\n")


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread a request: Roundup opens its database per request."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    """Requests are not logged: standard output is for the ready line."""

    def log_message(self, format: str, *args: object) -> None:
        return


def serve(home: Path, port: int, user: str, rate_limit: int) -> None:
    """Runs until it is killed or its parent is gone. In the environment's Python."""
    if not (home / "config.ini").is_file():
        create(home, user)
    server = Server((HOST, port), Quiet)  # bound first: the tracker has to know its own address
    url = f"http://{HOST}:{server.server_port}/"
    configure(home, {("tracker", "web"): url, ("web", "api_calls_per_interval"): str(rate_limit)})  # an hour long
    # Only here, as only the environment's Python has Roundup.
    dispatcher = import_module("roundup.cgi.wsgi_handler").RequestDispatcher
    server.set_app(dispatcher(str(home)))
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    ready = {"url": url, "rest_url": f"{url}rest", **json.loads((home / ACCOUNT).read_text())}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    server.serve_forever()


def end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install")
    for name in ("start", "serve"):
        command = commands.add_parser(name)
        command.add_argument("directory", type=Path)
        command.add_argument("--port", type=int, default=0, help="0: any free one")
        command.add_argument("--user", default="agent", help="name of the user that is created")
        command.add_argument("--rate-limit", type=int, default=0, help="requests an hour; 0: any number")
    given = parser.parse_args()
    if given.command == "install":
        install()
    elif given.command == "start":
        python = install()
        # The same process goes on in the environment: its parent, and so its end, stay the same.
        os.execv(python, [str(python), __file__, "serve", *sys.argv[2:]])
    else:
        serve(given.directory.resolve(), given.port, given.user, given.rate_limit)


if __name__ == "__main__":
    main()
