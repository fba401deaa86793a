"""The profile of all heads in one language: scores, effects, attention and examples, as `heads.json` holds them."""

from collections.abc import Mapping, Sequence
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
from polyhead.learning.encoded import IGNORED_LABEL, Encoded
from polyhead.learning.inference import Labelled
from polyhead.learning.text_encoder import TextEncoder
from polyhead.report.heads_form import DIRECTIONS, PLACES, Attention, Effects, Example, LanguageHeads, Relation, RelationShare
from polyhead.selection.head_effects import HeadEffects
from polyhead.studies.attention_shares import Kind, Share, Shares
from polyhead.studies.context import RunContext
from polyhead.studies.word_attention import each_word_attention, word_of_position

_FEWEST_OF_A_RELATION: Final = 20
_EXAMPLES: Final = 2
_EXAMPLE_WORDS: Final = range(6, 15)
_DIGITS: Final = 5


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
        raise DataFormatError(f"{data.name}: no sentence fits one window of {encoder.max_length} subwords, word by word")
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

    `methods` score the heads; `gradients` are gate gradients of the sample's labelled sentences, `[sentences, layers, heads]`.
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
    """Shares over all sentences of one window, and the whole weights of the first few short ones."""
    sentences, tokenizer = sample.data.sentences, context.inputs.encoder.tokenizer
    positions = word_of_position(sentences, sample.encoded, tokenizer)
    shares = Shares(context.shape, positions, trees_of(sample.data, sample.words))
    short = [i for i, own in enumerate(positions) if own is not None and len(sentences[i].words) in _EXAMPLE_WORDS]
    shown = {i: len(sentences[i].words) for i in short[:_EXAMPLES]} if text else {}
    weights = {i: np.full((*context.shape, n, n + 1), np.nan) for i, n in shown.items()}

    def receive(sentence: int, layer: int, kept: tuple[int, ...], found: NDArray[np.float64]) -> None:
        shares.add(sentence, layer, kept, found)
        if sentence in weights:
            weights[sentence][layer, list(kept)] = found

    each_word_attention(model, sample.encoded, positions, receive, precision=context.precision, progress=context.progress)
    examples = [
        Example(
            words=list(sentences[i].words),
            special_before=str(tokenizer.cls_token or tokenizer.bos_token or ""),
            special_after=str(tokenizer.sep_token or tokenizer.eos_token or ""),
            weights=jsonable(np.round(own, 3)),
        )
        for i, own in weights.items()
    ]
    return _as_record(shares.found()), examples


def _as_record(found: Mapping[Kind, Share]) -> Attention:
    """All places, and the relations of enough words in both directions."""
    relations: dict[str, dict[str, Any]] = {}
    for kind, share in found.items():
        if isinstance(kind, tuple) and share.n >= _FEWEST_OF_A_RELATION:
            relation, direction = kind
            own = relations.setdefault(relation, {"n": share.n})
            own[direction] = RelationShare(shares=_rounded(share.values), even=_rounded(share.even))
    placed = {place: found[place] for place in PLACES if place in found}
    return Attention(
        shares={place: _rounded(share.values) for place, share in placed.items()},
        even={place: _rounded(share.even) for place, share in placed.items()},
        relations={name: Relation(**own) for name, own in sorted(relations.items()) if {*DIRECTIONS} <= own.keys()},
    )


def _rounded(values: NDArray[np.float64] | float) -> Any:
    """Plain numbers of five significant digits; None for NaN."""
    array = np.asarray(values, dtype=np.float64)
    short = [float(f"{value:.{_DIGITS}g}") for value in array.ravel()]
    return jsonable(np.array(short).reshape(array.shape))
