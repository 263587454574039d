"""Where the bundled embedder's files are and what they are called. Nothing is loaded here."""

from pathlib import Path

MODEL_FOLDER = Path(__file__).resolve().parent / "model"
MODEL_FILE = "all-minilm-l6-v2-int8.onnx"
VOCABULARY_FILE = "vocab.txt"

# Changes whenever vectors or chunks made by older code no longer fit newer ones: every file is then read again.
PIPELINE = "all-minilm-l6-v2-int8/1"
