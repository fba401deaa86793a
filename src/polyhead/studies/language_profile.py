"""The profile of all heads in one language: scores, effects, attention and examples, as `heads.json` holds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from polyhead.core.errors import DataFormatError
from polyhead.core.values import jsonable
from polyhead.data.conllu import Words
from polyhead.data.sentences import Dataset
from polyhead.data.trees import Tree, read_trees
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoding import IGNORED_LABEL, Encoded
from polyhead.learning.inference import Labelled
from polyhead.learning.text_encoder import TextEncoder
from polyhead.report.heads_form import DIRECTIONS, PLACES, Attention, Effects, Example, LanguageHeads, Relation, RelationShare
from polyhead.selection.head_effects import HeadEffects
from polyhead.studies.attention_shares import Share, Shares
from polyhead.studies.context import RunContext
from polyhead.studies.word_attention import each_word_attention, word_of_position

_FEWEST_OF_A_RELATION: Final = 20
_EXAMPLES: Final = 2
_EXAMPLE_WORDS: Final = range(6, 15)
_DIGITS: Final = 5

Positions = list[NDArray[np.int64] | None]


@dataclass(frozen=True, eq=False)
class Sample:
    """A sample of one language's dev split, as the model reads it; `words` says what a word of a treebank is."""

    data: Dataset
    words: Words
    labelled: Labelled

    @property
    def encoded(self) -> Encoded:
        """The sentences without their gold labels."""
        return self.labelled.encoded

    @property
    def n_labelled(self) -> int:
        """Sentences with a word whose label the model knows."""
        return len({w.sentence for w in self.encoded.windows if (w.label_ids != IGNORED_LABEL).any()})


def encoded_sample(encoder: TextEncoder, data: Dataset, *, words: Words) -> Sample:
    """A sample as the model reads it.

    Raises:
        DataFormatError: No word has a label that the model knows, or no sentence fits one window.
    """
    sample = Sample(data, words, encoder.labelled(data))
    if not sample.n_labelled:
        raise DataFormatError(f"{data.name}: no word of its {data.split} sample has a label that the model knows")
    if all(own is None for own in word_of_position(data.sentences, sample.encoded, encoder.tokenizer)):
        raise DataFormatError(f"{data.name}: no sentence fits one window of {encoder.max_length} subwords")
    return sample


def language_profile(
    context: RunContext,
    model: PreTrainedModel,
    sample: Sample,
    methods: Sequence[str],
    *,
    gradients: NDArray[np.float64],
    effects: HeadEffects,
    seed: int,
    text: bool,
) -> LanguageHeads:
    """The entry of one language in `heads.json`; matrices are `[layers][heads]`, null for pruned heads.

    Args:
        context: The run.
        model: Unpruned and fine-tuned, on the run's device.
        sample: Sample of a dev split.
        methods: Methods that score the heads on it.
        gradients: Gate gradients of its labelled sentences, `[sentences, layers, heads]`.
        effects: Measured effects of the heads ablated on it.
        seed: Random seed of methods that draw numbers.
        text: Whether example sentences are kept.
    """
    data = sample.data
    batches = scoring_batches(sample.encoded)

    def scores(method: str) -> NDArray[np.float64]:
        if method == "gradient":
            return np.asarray(np.abs(gradients).mean(axis=0))
        return score_heads(method, model, batches, seed=seed, precision=context.precision, progress=context.progress).values

    attention, examples = _attention(context, model, sample, text=text)
    return LanguageHeads(
        name=data.name,
        language=data.language,
        split=data.split,
        n_sentences=len(data.sentences),
        n_words=data.n_words,
        scores={method: _rounded(scores(method)) for method in methods},
        effects=Effects(
            metric=effects.metric,
            unpruned=effects.unpruned,
            difference=_rounded(effects.difference),
            low=_rounded(effects.low),
            high=_rounded(effects.high),
            loss_change=_rounded(loss_change(gradients)),
        ),
        attention=attention,
        examples=examples,
    )


def loss_change(gradients: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much the mean loss of a sentence rises with each head off, to first order, `[layers, heads]`."""
    return np.asarray(-gradients.mean(axis=0))


def trees_of(data: Dataset, words: Words) -> list[Tree | None]:
    """The tree of every sentence; None if its file has none, or one over other words.

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


def _attention(context: RunContext, model: PreTrainedModel, sample: Sample, *, text: bool) -> tuple[Attention, list[Example]]:
    """Shares over all sentences of one window, and the whole weights of a few short ones."""
    data = sample.data
    positions = word_of_position(data.sentences, sample.encoded, context.inputs.encoder.tokenizer)
    shape = context.present.n_layers, context.present.n_heads
    shares = Shares(shape, positions, trees_of(data, sample.words))
    shown = _chosen(data, positions) if text else {}
    weights = {index: np.full((*shape, n, n + 1), np.nan) for index, n in shown.items()}

    def receive(sentence: int, layer: int, kept: tuple[int, ...], found: NDArray[np.float64]) -> None:
        shares.add(sentence, layer, kept, found)
        if sentence in weights:
            weights[sentence][layer, list(kept)] = found

    each_word_attention(model, sample.encoded, positions, receive, precision=context.precision, progress=context.progress)
    before, after = _special_names(context)
    examples = [
        Example(
            words=list(data.sentences[index].words),
            special_before=before,
            special_after=after,
            weights=jsonable(np.round(weights[index], 3)),
        )
        for index in shown
    ]
    return _as_record(shares), examples


def _as_record(shares: Shares) -> Attention:
    found = shares.found()
    placed: dict[str, Share] = {kind: share for kind, share in found.items() if isinstance(kind, str)}
    relations: dict[str, dict[str, Any]] = {}
    for kind, share in shares.found(fewest=_FEWEST_OF_A_RELATION).items():
        if not isinstance(kind, str):
            relation, direction = kind
            own = relations.setdefault(relation, {"n": share.n})
            own[direction] = RelationShare(shares=_rounded(share.values), even=_rounded(share.even))
    return Attention(
        shares={kind: _rounded(placed[kind].values) for kind in PLACES if kind in placed},
        even={kind: _rounded(placed[kind].even) for kind in PLACES if kind in placed},
        relations={name: Relation(**own) for name, own in sorted(relations.items()) if {*DIRECTIONS} <= own.keys()},
    )


def _chosen(data: Dataset, positions: Positions) -> dict[int, int]:
    """The first few short sentences by their index, with their numbers of words."""
    fit = [i for i, own in enumerate(positions) if own is not None and len(data.sentences[i].words) in _EXAMPLE_WORDS]
    return {index: len(data.sentences[index].words) for index in fit[:_EXAMPLES]}


def _special_names(context: RunContext) -> tuple[str, str]:
    tokenizer = context.inputs.encoder.tokenizer
    before, after = tokenizer.cls_token or tokenizer.bos_token, tokenizer.sep_token or tokenizer.eos_token
    return str(before or ""), str(after or "")


def _rounded(values: NDArray[np.float64] | float) -> Any:
    """Plain numbers of five significant digits; None for NaN."""
    array = np.asarray(values, dtype=np.float64)
    short: Sequence[float] = [float(f"{value:.{_DIGITS}g}") for value in array.ravel()]
    return jsonable(np.array(short).reshape(array.shape))
