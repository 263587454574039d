"""The identity of an agent's content. The vectors hold for every implementation of the agent document."""

import json
from pathlib import Path

import pytest
import yaml

from gateway.agents.digest import canonical
from gateway.agents.load import load_agent
from gateway.agents.spec import AgentSpec
from gateway.memory import STRATEGIES

VECTORS = json.loads((Path(__file__).parent / "digest_vectors.json").read_text())


def load(folder: Path, text: str, name: str = "a.yaml", env: dict[str, str] | None = None) -> AgentSpec:
    file = folder / name
    file.write_bytes(text.encode())
    return load_agent(file, env or {}, memories=STRATEGIES)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["title"] for vector in VECTORS])
def test_vectors(tmp_path: Path, vector: dict[str, str]) -> None:
    assert load(tmp_path, vector["yaml"], env={"WHO": "nobody"}).digest == vector["digest"]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["title"] for vector in VECTORS])
def test_json_key_order_and_newlines_do_not_matter(tmp_path: Path, vector: dict[str, str]) -> None:
    plain = yaml.safe_load(vector["yaml"])
    backwards = dict(reversed(plain.items()))
    env = {"WHO": "somebody else"}
    assert load(tmp_path, json.dumps(plain, indent="\t"), "a.json", env).digest == vector["digest"]
    assert load(tmp_path, json.dumps(backwards, ensure_ascii=False), "a.json", env).digest == vector["digest"]
    assert load(tmp_path, vector["yaml"].replace("\n", "\r\n"), env=env).digest == vector["digest"]


BASE = "model: m\ninstructions: Grüße\ntools: [a.b, c.d]\n"


@pytest.mark.parametrize(
    "same",
    [
        "name: other\nlabels: {x: y}\n" + BASE,
        "model: {primary: m}\ninstructions: Grüße\ntools: [a.b, c.d]\n",
        "model: m\ninstructions: Gru\u0308ße\ntools: [a.b, c.d]\n",
        "model: m\ninstructions: Grüße\ntools: [c.d, {tool: a.b}]\n",
        BASE + "description: ''\nlimits: {max_steps: 12, max_tokens: null}\nenv: []\n",
        BASE.replace("c.d]", "{tool: c.d, approval: never}]"),
        BASE.replace("c.d]", "{tool: c.d, approval: {when: never, timeout: 168h, on_timeout: deny}}]"),
    ],
)
def test_names_short_forms_defaults_order_of_sets_and_composition_do_not_matter(tmp_path: Path, same: str) -> None:
    assert load(tmp_path, same).digest == load(tmp_path, BASE).digest


@pytest.mark.parametrize(
    "other",
    [
        BASE.replace("model: m", "model: n"),
        BASE.replace("Grüße", "Grüsse"),
        BASE.replace("c.d", "c.*"),
        BASE + "limits: {max_steps: 11}\n",
        BASE + "description: x\n",
        BASE.replace("model: m", "model: {primary: m, fallbacks: [n]}"),
        BASE.replace("c.d]", "{tool: c.d, effect: read}]"),
        BASE.replace("c.d]", "{tool: c.d, approval: destructive}]"),
        BASE.replace("c.d]", "{tool: c.d, approval: {when: never, timeout: 6d}}]"),
        BASE + "context: {budget_tokens: 24000}\n",
    ],
)
def test_content_matters(tmp_path: Path, other: str) -> None:
    assert load(tmp_path, other).digest != load(tmp_path, BASE).digest


CONTEXT = "model: m\ncontext: {budget_tokens: 24000, keep: [{last: 12}, {semantic: {}}, {summary: {}}]}\n"


def test_a_context_is_the_same_with_its_defaults_written_out_and_in_any_order(tmp_path: Path) -> None:
    written = CONTEXT.replace("semantic: {}", "semantic: {top_k: 6}").replace("summary: {}", "summary: {at: 0.75}")
    turned = CONTEXT.replace("{last: 12}, {semantic: {}}", "{semantic: {}}, {last: 12}")
    digests = {load(tmp_path, text).digest for text in (CONTEXT, written, turned, CONTEXT + "memory: context\n")}
    assert len(digests) == 1


@pytest.mark.parametrize(("old", "new"), [("12", "11"), ("24000", "24001"), ("semantic: {}", "semantic: {top_k: 5}")])
def test_a_context_is_content(tmp_path: Path, old: str, new: str) -> None:
    assert load(tmp_path, CONTEXT.replace(old, new)).digest != load(tmp_path, CONTEXT).digest


def test_equal_durations_are_equal(tmp_path: Path) -> None:
    minutes = load(tmp_path, "model: m\nlimits: {deadline: 2m}\n")
    assert minutes.digest == load(tmp_path, "model: m\nlimits: {deadline: 120s}\n").digest


def test_a_prompt_file_counts_as_its_text(tmp_path: Path) -> None:
    (tmp_path / "p.md").write_bytes(b"one\r\ntwo\r\n")
    included = load(tmp_path, "model: m\ninstructions: {file: p.md}\n")
    assert included.digest == load(tmp_path, "model: m\ninstructions: |\n  one\n  two\n").digest


def test_the_canonical_form_is_rfc_8785() -> None:
    assert canonical({"b": 1.0, "a": [1e21, "\u20ac", None, True], "é": 1}) == (
        '{"a":[1e+21,"€",null,true],"b":1,"é":1}'.encode()
    )
    with pytest.raises(ValueError, match="9007199254740993"):
        canonical({"a": 2**53 + 1})
