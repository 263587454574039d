"""The programs that are measured, each a child process pinned to one core, and the fake provider on the other."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from bench.scenarios import AGENT_DOCUMENT, MODEL, RESPONSES_MODEL

_READY_LIMIT = 60.0
_LITELLM_KEY = "sk-bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """The core of the server under test, and that of load and provider. Equal where the machine has only one."""

    server: int
    load: int

    @classmethod
    def choose(cls) -> "Cores":
        usable = sorted(os.sched_getaffinity(0))
        return cls(server=usable[0], load=usable[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one server is started: its command, what it is asked to know whether it lives, and the key it wants."""

    command: Sequence[str]
    port: int
    health: str
    key: str = ""
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers. `started` is when its process was made, `healthy_s` how long its first sign took."""

    pid: int
    port: int
    key: str
    started: float
    healthy_s: float


def provider() -> Plan:
    """The fake provider."""
    port = free_port()
    return Plan(command=[sys.executable, "-m", "bench.upstream", str(port)], port=port, health="/")


def floor(upstream: int, folder: Path) -> Plan:
    port = free_port()
    command = [sys.executable, "-m", "bench.floor", str(port), f"http://127.0.0.1:{upstream}"]
    return Plan(command=command, port=port, health="/")


def gateway(upstream: int, folder: Path) -> Plan:
    """Homeport with one agent without tools, on an empty data folder."""
    agents, data, config = folder / "agents", folder / "data", folder / "gateway.yaml"
    if not config.exists():
        agents.mkdir()
        (agents / "bench.yaml").write_text(AGENT_DOCUMENT)
        provider = {"litellm_provider": "openai", "base_url": f"http://127.0.0.1:{upstream}/v1", "api_key": "x"}
        providers = {
            MODEL.split("/")[0]: provider,
            RESPONSES_MODEL.split("/")[0]: {**provider, "lane": "responses"},
        }
        # JSON is YAML.
        config.write_text(json.dumps({"providers": providers, "models": [MODEL, RESPONSES_MODEL]}))
    command = [sys.executable, "-m", "gateway"]
    made = subprocess.run(
        [*command, "keys", "create", f"bench-{time.time_ns()}", "--data", str(data)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    port = free_port()
    places = ["--data", str(data), "--agents", str(agents), "--config", str(config)]
    return Plan(
        command=[*command, "serve", "--port", str(port), *places],
        port=port,
        health="/healthz",
        key=made.stdout.split()[-1],
    )


def litellm(venv: Path) -> Callable[[int, Path], Plan]:
    """LiteLLM's proxy from its own environment (`pip install 'litellm[proxy]'`), one worker, no database."""

    def plan(upstream: int, folder: Path) -> Plan:
        port, config = free_port(), folder / "litellm.yaml"
        params = {"model": "openai/gpt", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "x"}
        config.write_text(
            json.dumps(
                {
                    "model_list": [{"model_name": MODEL, "litellm_params": params}],
                    "general_settings": {"master_key": _LITELLM_KEY},
                    "litellm_settings": {"telemetry": False, "num_retries": 0},
                }
            )
        )
        command = [str(venv / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        quiet = (
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
            ("LITELLM_LOG", "ERROR"),
            ("LITELLM_MODE", "PRODUCTION"),
        )
        return Plan(command=command, port=port, health="/health/liveliness", key=_LITELLM_KEY, environment=quiet)

    return plan


SERVERS = MappingProxyType({"floor": floor, "gateway": gateway})
"""The servers every run has; LiteLLM's proxy comes to them where its environment is named."""


@contextmanager
def running(plan: Plan, core: int, log: Path) -> Iterator[Server]:
    """Start a server, wait until it answers its health path, and stop it at the end."""
    with log.open("ab") as output, pinned(core):
        started = time.perf_counter()
        process = subprocess.Popen(
            plan.command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(plan.environment) | {"PYTHONUNBUFFERED": "1"},
        )
    try:
        while ask(plan.port, "GET", plan.health, plan.key)[0] != 200:
            if process.poll() is not None or time.perf_counter() > started + _READY_LIMIT:
                raise RuntimeError(f"{' '.join(plan.command)} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.005)
        healthy = time.perf_counter() - started
        yield Server(pid=process.pid, port=plan.port, key=plan.key, started=started, healthy_s=healthy)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Children made inside run on this core alone: affinity is inherited, so no thread of theirs escapes it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def ask(port: int, method: str, path: str, key: str, body: bytes = b"") -> tuple[int, bytes]:
    """One request on a connection of its own: status and body, status 0 when nobody listens."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}", "connection": "close"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_READY_LIMIT)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
