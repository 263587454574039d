"""A double of GitHub's Issues API, as its REST documentation (version 2022-11-28) describes it. It is not GitHub.

It exists because GitHub cannot be reached from a test. It insists on what GitHub insists on: the credentials, the
media type, a User-Agent, known body fields, `is:issue` in a search; and it can lose answers and limit requests.
https://docs.github.com/en/rest/issues, https://docs.github.com/en/rest/search/search
"""

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "github_pat_double_0123456789"
WRITABLE = {"title", "body", "labels", "assignees", "state", "milestone", "state_reason"}
Json = dict[str, Any]


@dataclass
class GitHub:
    """Issues by number, and what to do wrong: each fault is used once, by the next request of its method.

    A fault is `lose` (do it, send nothing), or a (status, headers, body) to answer instead.
    """

    repository: str = "octo/hello-world"
    issues: dict[int, Json] = field(default_factory=dict)
    comments: dict[int, list[Json]] = field(default_factory=dict)
    faults: list[tuple[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    lists_lag: bool = False
    url: str = ""
    ids: int = 0

    def next_id(self) -> int:
        self.ids += 1
        return self.ids

    def answer(self, method: str, target: str, headers: Any, body: Json) -> tuple[int, Any]:
        path, query = urlsplit(target).path, {k: v[0] for k, v in parse_qs(urlsplit(target).query).items()}
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"message": "Bad credentials"}
        if not headers.get("User-Agent"):
            return 403, {"message": "Request forbidden by administrative rules. Please add a User-Agent header"}
        if (
            headers.get("Accept") != "application/vnd.github+json"
            or headers.get("X-GitHub-Api-Version") != "2022-11-28"
        ):
            return 400, {"message": "unsupported media type or version"}
        if (method, path) == ("GET", "/search/issues"):
            return self.search(query)
        prefix = f"/repos/{self.repository}/issues"
        match = re.fullmatch(re.escape(prefix) + r"(?:/(\d+)(/comments)?)?", unquote(path))
        if not match or (match[1] and int(match[1]) not in self.issues):
            return 404, {"message": "Not Found"}
        number = int(match[1] or 0)
        if match[2]:
            return self.comment(number, body) if method == "POST" else (200, self.comments[number])
        if method == "POST":
            return self.open(body)
        if method == "PATCH":
            return self.change(number, body)
        return (200, self.issues[number]) if number else (200, self.listed(query))

    def open(self, body: Json) -> tuple[int, Any]:
        if not isinstance(body.get("title"), str) or body.keys() - WRITABLE or "state" in body:
            return 422, {"message": "Validation Failed", "errors": [{"resource": "Issue", "code": "invalid"}]}
        number = self.next_id()
        self.issues[number] = {
            "id": 1000 + number,
            "number": number,
            "state": "open",
            "comments": 0,
            "body": None,
            "labels": [],
            "assignee": None,
            "user": {"login": "octocat"},
            "created_at": now(),
        }
        self.comments[number] = []
        self.change(number, body)
        return 201, self.issues[number]

    def change(self, number: int, body: Json) -> tuple[int, Any]:
        if body.keys() - WRITABLE or body.get("state", "open") not in ("open", "closed"):
            return 422, {"message": "Validation Failed", "errors": [{"resource": "Issue", "code": "invalid"}]}
        issue = self.issues[number]
        issue |= {name: body[name] for name in ("title", "body", "state") if name in body} | {"updated_at": now()}
        if "labels" in body:
            issue["labels"] = [{"id": 1, "name": name, "color": "ededed"} for name in body["labels"]]
        if "assignees" in body:
            issue["assignees"] = [{"login": login} for login in body["assignees"]]
            issue["assignee"] = issue["assignees"][0] if issue["assignees"] else None
        return 200, issue

    def comment(self, number: int, body: Json) -> tuple[int, Any]:
        if set(body) != {"body"}:
            return 422, {"message": "Validation Failed"}
        made = {"id": 5000 + self.next_id(), "user": {"login": "octocat"}, "created_at": now(), **body}
        self.comments[number].append(made)
        self.issues[number]["comments"] += 1
        return 201, made

    def listed(self, query: Json) -> list[Json]:
        assert query.get("state") == "all" and query.get("direction") == "desc"
        found = [issue for issue in self.issues.values() if issue["updated_at"] >= query["since"]]
        return [] if self.lists_lag else sorted(found, key=lambda issue: -issue["number"])

    def search(self, query: Json) -> tuple[int, Any]:
        words = re.findall(r'"[^"]*"|\S+', query["q"])
        qualifiers = dict(word.split(":", 1) for word in words if ":" in word and not word.startswith('"'))
        texts = [word.strip('"').lower() for word in words if word.startswith('"') or ":" not in word]
        if qualifiers.get("is") != "issue":
            return 422, {"message": "Query must include 'is:issue' or 'is:pull-request'"}
        if qualifiers.get("repo") != self.repository or [w for w in words if w.startswith("repo:")][1:]:
            return 422, {"message": "The listed users and repositories cannot be searched"}
        found = [
            issue
            for issue in self.issues.values()
            if "pull_request" not in issue
            and all(text in f"{issue['title']} {issue['body']}".lower() for text in texts)
            and qualifiers.get("state", issue["state"]) == issue["state"]
        ]
        start = (int(query["page"]) - 1) * int(query["per_page"])
        page = found[start : start + int(query["per_page"])]
        return 200, {"total_count": len(found), "incomplete_results": False, "items": page}


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@contextlib.contextmanager
def github_double() -> Iterator[GitHub]:
    github = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            github.asked.append(f"{self.command} {self.path}")
            fault = next((fault for fault in github.faults if fault[0] == self.command), None)
            if fault is not None:
                github.faults.remove(fault)
            if fault is not None and fault[1] != "lose":
                status, headers, answer = fault[1]
            else:
                headers = {}
                status, answer = github.answer(self.command, self.path, self.headers, body)
            if fault is not None and fault[1] == "lose":
                return
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = handle_any

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        github.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield github
        finally:
            server.shutdown()
            thread.join()
