"""The real encoder of the benchmarks, 12 × 12 heads, fine-tuned on UD English-EWT and evaluated in nine languages.

Folders: POLYHEAD_E5 holds the encoder (made by `recipes/real_encoder.py` where it is missing), POLYHEAD_BENCHMARKS the unfinished
fine-tunings. Finished cells lie in `results/NAME_cells`, one file each: correct and scored words of every sentence.
"""

import lzma
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from environment import SHARED
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from safetensors.numpy import load, save
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase
from treebanks import LABELS, POS, TREEBANKS, WORK

from polyhead.core.heads import HeadMask
from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.data.corpus_table import Split
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoded import join
from polyhead.learning.encoding import encode, model_limit
from polyhead.learning.inference import Labelled, evaluate
from polyhead.learning.masked_evaluation import masked_labels
from polyhead.learning.nested import NestedMasks
from polyhead.learning.training import fit
from polyhead.models.devices import pick_precision
from polyhead.models.loading import load_tagger, load_tokenizer
from polyhead.models.pruning import prune

TARGETS = tuple(language for language in TREEBANKS if language != "en")


@cache
def encoder() -> Path:
    """The encoder's folder."""
    folder = Path(os.environ.get("POLYHEAD_E5", WORK / "e5"))
    if not (folder / "config.json").is_file():
        recipe = Path(__file__).resolve().parents[1] / "recipes" / "real_encoder.py"
        subprocess.run([sys.executable, recipe, folder], check=True)
    return folder


@cache
def tokenizer() -> PreTrainedTokenizerBase:
    return load_tokenizer(str(encoder()))


@cache
def labelled(language: str, split: Split, *, n: int | None = None) -> Labelled:
    """A split of a language's treebank, or `n` sentences of it drawn by seed 42."""
    data = open_corpus(TREEBANKS[language], split, root=SHARED / "data")
    if n is not None:
        data = sample(data, n, seed=42)
    return with_labels(data)


def with_labels(data: Dataset) -> Labelled:
    """The sentences encoded for the encoder, with their gold labels."""
    limit = model_limit(AutoConfig.from_pretrained(encoder()))
    encoded = encode(data.sentences, tokenizer(), LABELS, model_limit=limit, unknown="ignore")
    return Labelled(encoded, [sentence.labels for sentence in data.sentences])


def fine_tuned(
    spec: TrainSpec,
    *,
    sentences: int,
    resume_file: Path,
    pruned: HeadMask | None = None,
    nested: NestedMasks | None = None,
) -> PreTrainedModel:
    """The encoder fine-tuned on that many sentences of EWT, pruned first or under nested masks; continues from `resume_file`."""
    model = load_tagger(str(encoder()), labels=LABELS, seed=spec.seed)
    if pruned is not None:
        prune(model, pruned)
    resume_file.parent.mkdir(parents=True, exist_ok=True)
    fit(model, labelled("en", "train", n=sentences).encoded, spec, mask=nested, device="auto", resume_file=resume_file)
    return model


def counts(model: PreTrainedModel, data: Mapping[str, Labelled]) -> dict[str, NDArray[np.int64]]:
    """Correct and scored words of every sentence, `[sentences, 2]`, by data set."""
    precision = pick_precision("auto", model.device)
    found = evaluate(model, data, POS, LABELS, device=model.device, precision=precision)
    return {name: own.counts[:, :2].astype(np.int64) for name, own in found.items()}


def cell_file(folder: Path, name: str) -> Path:
    """The file of a cell."""
    return folder / f"{name}.safetensors.xz"


def once(path: Path, work: Callable[[], object]) -> None:
    """Do the work that writes a cell, unless the cell is there or another process is at it."""
    WORK.mkdir(parents=True, exist_ok=True)
    name = path.name.partition(".safetensors")[0]
    try:
        with FileLock(WORK / f"{name}.lock", timeout=0):
            if not path.is_file():
                started = time.perf_counter()
                work()
                print(f"{name} done in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    except Timeout:
        return


def keep(path: Path, found: Mapping[str, NDArray[np.int64]]) -> None:
    """Write a cell's counts, compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    widths = {name: np.int16 if np.abs(own).max(initial=0) < 2**15 else np.int32 for name, own in found.items()}
    small = {name: np.ascontiguousarray(own, dtype=widths[name]) for name, own in found.items()}
    partial = path.with_suffix(".partial")
    partial.write_bytes(lzma.compress(save(small), preset=9))
    partial.replace(path)


def kept(path: Path) -> dict[str, NDArray[np.int64]]:
    """A cell's counts."""
    return {name: own.astype(np.int64) for name, own in load(lzma.decompress(path.read_bytes())).items()}


def accuracy(summed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Accuracy in points, from counts `[..., 2]`."""
    return 100 * summed[..., 0] / summed[..., 1]


def masked(model: PreTrainedModel, data: Mapping[str, Labelled], masks: Sequence[HeadMask]) -> dict[str, NDArray[np.int64]]:
    """By data set: scored words of every sentence `NAME/scored`, `[sentences]`, and under every mask, `[masks, sentences]`, the
    correct ones `NAME/correct` and those labelled as under the first mask `NAME/agreeing`."""
    together, found = join([own.encoded for own in data.values()]), {}
    batches, every = scoring_batches(together, budget=2048), together.words_per_sentence
    ids, _ = masked_labels(model, batches, masks, every, precision=pick_precision("auto", model.device))
    known, word = {label: i for i, label in enumerate(LABELS.names)}, 0
    for name, own in data.items():
        words = own.encoded.words_per_sentence
        here, word = ids[:, word : word + sum(words)], word + sum(words)
        gold = np.array([known[label] if label is not None else -1 for sentence in own.gold for label in sentence])
        starts = np.concatenate(([0], np.cumsum(words)[:-1]))
        found[f"{name}/scored"] = np.add.reduceat((gold >= 0).astype(np.int64), starts)
        found[f"{name}/correct"] = np.add.reduceat((here == gold).astype(np.int64), starts, axis=1)
        found[f"{name}/agreeing"] = np.add.reduceat((here == here[0]).astype(np.int64), starts, axis=1)
        found[f"{name}/words"] = np.array(words, dtype=np.int64)
    return found
