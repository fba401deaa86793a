"""The profile of all heads in one language: scores, effects, attention and examples, as `heads.json` holds them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from polyhead.core.errors import DataFormatError
from polyhead.data.conllu import Words
from polyhead.data.sentences import Dataset
from polyhead.data.trees import Tree, read_trees
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoding import Encoded, encode, model_limit
from polyhead.learning.inference import Labelled
from polyhead.report.heads_form import DIRECTIONS, PLACES
from polyhead.selection.head_effects import head_effects
from polyhead.studies.attention_shares import Share, Shares
from polyhead.studies.finetunes import RunContext
from polyhead.studies.word_attention import each_word_attention, word_of_position

_FEWEST_OF_A_RELATION: Final = 20
_EXAMPLES: Final = 2
_EXAMPLE_WORDS: Final = range(6, 15)
_DIGITS: Final = 5

Positions = list[NDArray[np.int64] | None]


def language_profile(
    context: RunContext, model: PreTrainedModel, data: Dataset, methods: Sequence[str], *, words: Words, seed: int
) -> dict[str, Any]:
    """The entry of one language in `heads.json`; matrices are `[layers][heads]`, NaN for heads that are gone.

    Args:
        context: Of the run.
        model: Unpruned and fine-tuned, on the run's device.
        data: A sample of a dev split.
        methods: Each scores the heads on it.
        words: What a word of a treebank is.
        seed: Of methods that draw random numbers.

    Raises:
        PolyheadError: The sample cannot be used: no label that the model knows, for example.
    """
    train, inputs = context.settings.train, context.inputs
    encoded = encode(
        data.sentences,
        inputs.tokenizer,
        inputs.labels,
        max_length=train.max_length,
        model_limit=model_limit(model.config),
        anchor=train.anchor,
        unknown="ignore",
    )
    batches = scoring_batches(encoded)
    scores = {
        method: score_heads(method, model, batches, seed=seed, precision=context.precision, progress=context.progress)
        for method in methods
    }
    labelled = Labelled(encoded, [sentence.labels for sentence in data.sentences])
    effects = head_effects(
        model,
        labelled,
        inputs.task,
        inputs.labels,
        precision=context.precision,
        progress=context.progress,
    )
    attention, examples = _attention(context, model, data, encoded, words)
    return {
        "name": data.name,
        "language": data.language,
        "split": data.split,
        "n_sentences": len(data.sentences),
        "n_words": data.n_words,
        "scores": {method: _rounded(found.values) for method, found in scores.items()},
        "effects": {
            "metric": effects.metric,
            "unpruned": _rounded(effects.unpruned),
            **{name: _rounded(getattr(effects, name)) for name in ("difference", "low", "high")},
        },
        "attention": attention,
        "examples": examples,
    }


def trees_of(data: Dataset, words: Words) -> list[Tree | None]:
    """The tree of every sentence; None where its file has none, or has one of other words.

    Raises:
        DataFormatError: A file cannot be decoded.
    """
    places = [sentence.source.rpartition(":") for sentence in data.sentences]
    files = {path: read_trees(Path(path), words=words) for path in dict.fromkeys(p for p, _, _ in places) if Path(path).is_file()}
    found = [files.get(path, {}).get(int(line)) if line.isdecimal() else None for path, _, line in places]
    return [
        tree if tree is not None and len(tree.heads) == len(sentence.words) else None
        for tree, sentence in zip(found, data.sentences, strict=True)
    ]


def _attention(
    context: RunContext, model: PreTrainedModel, data: Dataset, encoded: Encoded, words: Words
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Shares over all sentences of one window, and the whole weights of a few short ones."""
    positions = word_of_position(data.sentences, encoded, context.inputs.tokenizer)
    if all(own is None for own in positions):
        raise DataFormatError(f"{data.name}: no sentence fits one window of {context.settings.train.max_length} pieces")
    shape = context.present.n_layers, context.present.n_heads
    shares = Shares(shape, positions, trees_of(data, words))
    shown = _chosen(data, positions)
    weights = {index: np.full((*shape, n, n + 1), np.nan) for index, n in shown.items()}

    def receive(sentence: int, layer: int, kept: tuple[int, ...], found: NDArray[np.float64]) -> None:
        shares.add(sentence, layer, kept, found)
        if sentence in weights:
            weights[sentence][layer, list(kept)] = found

    each_word_attention(model, encoded, positions, receive, precision=context.precision, progress=context.progress)
    before, after = _special_names(context)
    examples = [
        {
            "words": list(data.sentences[index].words),
            "special_before": before,
            "special_after": after,
            "weights": np.round(weights[index], 3).tolist(),
        }
        for index in shown
    ]
    return _as_record(shares), examples


def _as_record(shares: Shares) -> dict[str, Any]:
    found = shares.found()
    placed: dict[str, Share] = {kind: share for kind, share in found.items() if isinstance(kind, str)}
    relations: dict[str, dict[str, Any]] = {}
    for kind, share in shares.found(fewest=_FEWEST_OF_A_RELATION).items():
        if not isinstance(kind, str):
            relation, direction = kind
            own = relations.setdefault(relation, {"n": share.n})
            own[direction] = {"shares": _rounded(share.values), "even": _rounded(share.even)}
    return {
        "shares": {kind: _rounded(placed[kind].values) for kind in PLACES if kind in placed},
        "even": {kind: _rounded(placed[kind].even) for kind in PLACES if kind in placed},
        "relations": {name: relations[name] for name in sorted(relations) if {*DIRECTIONS} <= relations[name].keys()},
    }


def _chosen(data: Dataset, positions: Positions) -> dict[int, int]:
    """The first few short sentences by their index, with their numbers of words."""
    fit = [i for i, own in enumerate(positions) if own is not None and len(data.sentences[i].words) in _EXAMPLE_WORDS]
    return {index: len(data.sentences[index].words) for index in fit[:_EXAMPLES]}


def _special_names(context: RunContext) -> tuple[str, str]:
    tokenizer = context.inputs.tokenizer
    before, after = tokenizer.cls_token or tokenizer.bos_token, tokenizer.sep_token or tokenizer.eos_token
    return str(before or ""), str(after or "")


def _rounded(values: NDArray[np.float64] | float) -> Any:
    """Plain numbers of five significant digits."""
    array = np.asarray(values, dtype=np.float64)
    short: Sequence[float] = [float(f"{value:.{_DIGITS}g}") for value in array.ravel()]
    return np.array(short).reshape(array.shape).tolist()
