"""docs/settings.md: written from the models, complete, and with examples that are settings."""

import re
import subprocess
import sys

import pytest
import yaml

from gateway.settings import read_settings
from tests.command import ROOT

PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
KEYED = ("gateway.yaml", "limits", "providers", "servers", "client_servers")
ROW = re.compile(r"^\| `(?P<key>\w+)` \| [^|]+ \| [^|]+ \| `(?P<example>[^|]+)` \| [^|]+ \|$", re.MULTILINE)
KINDS = {"module": "mcp_tools.rag", "command": ["true"], "url": "http://127.0.0.1:9/mcp"}
"""Without one of these there is no server; `settings`, `env`, `cwd` and `headers` go with one each."""
OF_KIND = {"module": "module", "settings": "module", "command": "command", "env": "command", "cwd": "command"}


def rows(title):
    """The examples of a section, and how many keys it has."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [found["example"] for found in ROW.finditer(section)], section.count("\n| `")


def read(tmp_path, settings):
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(settings))
    return read_settings({"MINE_KEY": "k", "WEATHER_KEY": "k", "WIKI_TOKEN": "k"}, path)


def test_the_page_is_not_stale():
    """`python -m scripts.settings_page` writes it anew."""
    command = [sys.executable, "-m", "scripts.settings_page", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("title", KEYED)
def test_every_key_has_an_example_that_is_a_setting(tmp_path, title):
    examples, keys = rows(title)
    assert len(examples) == keys > 0
    for example in examples:
        given = yaml.safe_load(example)
        (key,) = given
        if title == "servers":
            kind = OF_KIND.get(key, "url")
            given = {"servers": {"mine": {kind: KINDS[kind], **given}}}
        elif title == "providers":
            given = {"providers": {"mine": given}}
        elif title != "gateway.yaml":
            given = {title: given}
        assert read(tmp_path, given) != read(tmp_path, {}), example


def test_the_example_of_a_whole_file_is_one(tmp_path):
    written = PAGE.partition("```yaml\n")[2].partition("```")[0]
    settings = read(tmp_path, yaml.safe_load(written))
    assert (settings.limits.first_token, settings.servers["wiki"].timeout) == (60, 20)


def test_every_variable_that_the_code_reads_is_on_the_page():
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "gateway").rglob("*.py"))
    named = set(re.findall(r"\b(?:HOMEPORT|TICKETING)_[A-Z_]*[A-Z]\b", code))
    assert {"HOMEPORT_MODEL", "TICKETING_TOKEN"} < named
    assert {name for name in named if f"| `{name}` |" not in PAGE} == set()
