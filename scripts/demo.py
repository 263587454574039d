"""`make demo`: a tracker, a gateway, two questions through the official client, and what happens.

With `--thorough` it asks more of each kind, and is content with most: a small model may miss one.
"""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from openai import OpenAI
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.rule import Rule

ROOT = Path(__file__).parent.parent
ANSWERED = ("How do I revoke an API key?", "How do I make an API key?", "How do I add a knowledge base?")
UNANSWERED = (
    "My invoice number 4711 was charged twice. Please help.",
    "The printer in our office is out of toner.",
    "My parcel has not arrived yet.",
    "The VPN does not connect since yesterday.",
    "I need a new badge for the office.",
)
console = Console(highlight=False)


def main() -> int:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="homeport-demo-")))
        console.print("Starting a Roundup tracker …", style="dim")
        tracker = start_tracker(stack, home / "tracker")
        console.print(f"Tracker at [cyan]{tracker['url']}[/]")
        client, url = start_gateway(stack, home / "data", tracker)
        console.print(f"Gateway at [cyan]{url}[/]\n")
        asked = None if "--thorough" in sys.argv[1:] else 1
        cited = [cites(*ask(client, question)) for question in ANSWERED[:asked]]
        opened = [ticketed(client, tracker, question) for question in UNANSWERED[:asked]]
        console.print(Rule(style="dim"))
        return 0 if all(sum(right) > len(right) // 2 for right in (cited, opened)) else 1


def start_tracker(stack: ExitStack, home: Path) -> dict[str, str]:
    """The address and the account of a fresh tracker that goes away with this process."""
    command = [sys.executable, str(ROOT / "scripts" / "roundup_server.py"), "start", str(home)]
    process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    stack.callback(process.terminate)
    assert process.stdout
    return json.loads(process.stdout.readline())


def start_gateway(stack: ExitStack, data: Path, tracker: dict[str, str]) -> tuple[OpenAI, str]:
    environment = {
        "HOMEPORT_LOG_LEVEL": "warning",
        **os.environ,
        "TICKETING_URL": tracker["rest_url"],
        "TICKETING_USER": tracker["user"],
        "TICKETING_PASSWORD": tracker["password"],
    }
    port = free_port()
    command = [sys.executable, "-m", "gateway", "serve", "--data", str(data), "--port", str(port)]
    process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL))
    stack.callback(process.terminate)
    url = f"http://127.0.0.1:{port}"
    while True:
        if process.poll() is not None:
            raise SystemExit("The gateway did not start; `make run` shows why.")
        try:
            urllib.request.urlopen(f"{url}/healthz").read()
            break
        except OSError:
            time.sleep(0.05)
    key = (data / "local.key").read_text().strip()
    return OpenAI(base_url=f"{url}/v1", api_key=key, timeout=600, max_retries=0), url


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(client: OpenAI, question: str) -> tuple[str, str]:
    """Ask, show the tool calls and the answer as they come, and return the answer and what the tools said."""
    console.print(Rule(style="dim"))
    console.print(f"[bold cyan]question[/]  {question}")
    answer = told = ""
    with console.status("the model is thinking …"):
        for event in client.responses.create(model="support-copilot", input=question, stream=True):
            if event.type == "response.output_item.done" and event.item.type == "mcp_call":
                call = event.item
                told += call.output or ""
                said = " ".join((call.output or "").split())[:200]
                console.print(
                    f"[bold magenta]{call.server_label}.{call.name}[/] {escape(call.arguments)}", soft_wrap=True
                )
                console.print(f"  → {escape(said)}", style="dim", soft_wrap=True)
            elif event.type == "response.completed":
                answer = event.response.output_text
            elif event.type == "response.failed":
                raise SystemExit(f"The run failed: {event.response.error and event.response.error.message}")
    console.print(Panel(escape(answer), title="answer", title_align="left"))
    return answer, told


def tickets(tracker: dict[str, str]) -> list[str]:
    """The numbers of the tickets that the tracker itself has, asked without the gateway."""
    token = base64.b64encode(f"{tracker['user']}:{tracker['password']}".encode()).decode()
    request = urllib.request.Request(
        tracker["rest_url"].rstrip("/") + "/data/issue", headers={"authorization": f"Basic {token}"}
    )
    body = json.loads(urllib.request.urlopen(request).read())
    return [str(item["id"]) for item in body["data"]["collection"]]


def cites(answer: str, found: str) -> bool:
    """Say whether the answer names a file that the search found."""
    files = [path.name for path in (ROOT / "agents" / "knowledge").glob("*.md")]
    source = next((name for name in files if name in answer and name in found), None)
    console.print(f"{mark(source)} answered from the documents, citing {source or 'nothing'}")
    return source is not None


def ticketed(client: OpenAI, tracker: dict[str, str], question: str) -> bool:
    """Ask, and say whether that opened a real ticket whose number is in the answer."""
    before = tickets(tracker)
    answer, _ = ask(client, question)
    new = [id for id in tickets(tracker) if id not in before]
    # Not as a part of the tracker's address. Roundup writes ticket 1 as issue1 too.
    number = next((id for id in new if re.search(rf"(?<![\d.]){id}(?!\d|[.:]\d)", answer)), None)
    made = ", ".join(new) or "none"
    console.print(f"{mark(number)} ticket {made} in the tracker, its number in the answer: {number is not None}")
    return number is not None


def mark(found: str | None) -> str:
    return "[green]✓[/]" if found else "[red]✗[/]"


if __name__ == "__main__":
    sys.exit(main())
