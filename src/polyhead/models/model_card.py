"""The README.md of a pruned checkpoint: what was pruned, on which data, with which scores, and how to load it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final

from pydantic import ConfigDict

from polyhead.core.escaping import markdown_text, python_string
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask
from polyhead.models.names import OWN_ENCODERS, is_local
from polyhead.models.own_file import OwnFile

_STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)
_SENTENCES: Final = "AutoModelForSequenceClassification"
_MASKED: Final = "AutoModelForMaskedLM"
_PIPELINES: Final = {_SENTENCES: "text-classification", _MASKED: "fill-mask", "AutoModel": "feature-extraction"}


@dataclass(frozen=True)
class CardScore:
    """One row of the score table; scores are fractions, or None where unknown.

    Attributes:
        data: Corpus and split, such as `ud/de_gsd test`.
        language: BCP-47 code.
        metric: Name of the metric.
        pruned: Score of this model.
        full: Score of the same recipe without pruning.
    """

    __pydantic_config__ = _STRICT
    data: str
    language: str
    metric: str
    pruned: float | None
    full: float | None = None


@dataclass(frozen=True)
class ModelCard(OwnFile):
    """What the author of a checkpoint knows about it; the page omits empty fields.

    Attributes:
        base_model: Encoder that was fine-tuned, as a hub id or a bundled encoder; for a folder, or if empty, the page says
            "a local encoder".
        task: Name of the task, such as `pos`.
        languages: BCP-47 codes of the training data.
        training_data: Corpora and splits trained on.
        ranking: How heads were ranked and on which data, in one sentence.
        choice: How the number of heads was chosen, in one sentence.
        vocabulary: How the vocabulary was trimmed, in one sentence.
        scores: One per data set.
        caveat: How far to trust the scores, such as "one seed, no controls: no claim of a gain".
        license: Identifier on the Hub, such as `apache-2.0`.
    """

    FILE: ClassVar[str] = "model_card.json"
    REPAIR: ClassVar[str] = "delete the file to continue without it"

    __pydantic_config__ = _STRICT
    base_model: str = ""
    task: str = ""
    languages: tuple[str, ...] = ()
    training_data: tuple[str, ...] = ()
    ranking: str = ""
    choice: str = ""
    vocabulary: str = ""
    scores: tuple[CardScore, ...] = ()
    caveat: str = ""
    license: str = ""


def pruned_further(card: ModelCard, *, ranking: str, choice: str) -> ModelCard:
    """The card of a model after further pruning: its old scores become those of the unpruned model."""
    before = tuple(replace(score, pruned=None, full=score.pruned if score.full is None else score.full) for score in card.scores)
    caveat = "The scores are those of the unpruned model; the pruned model was not scored."
    return replace(card, ranking=ranking, choice=choice, scores=before, caveat=caveat if before else card.caveat)


def render_card(
    card: ModelCard,
    mask: HeadMask,
    *,
    name: str,
    auto_class: str,
    dense: bool = False,
    masks: Mapping[str, HeadMask] | None = None,
    neurons: NeuronMask | None = None,
) -> str:
    """The page as Markdown with the Hub's YAML front matter.

    Args:
        card: Facts about the model.
        mask: Heads kept.
        name: Title, and the name in the loading example.
        auto_class: Transformers class that loads the model.
        dense: The folder holds full-shape weights with zeros for pruned heads and neurons.
        masks: Named masks of the model.
        neurons: Neurons kept; None for all.
    """
    lost = neurons if neurons is not None and neurons.n_pruned else None
    parts = [
        _front_matter(card, auto_class),
        f"# {markdown_text(name)}\n",
        _summary(card, mask, auto_class, dense, lost),
        _loading(name, auto_class, bool(mask.n_pruned or masks or lost) and not dense, lost),
    ]
    if masks:
        parts.append(_masks(masks))
    if mask.n_pruned:
        parts.append(_heads(mask))
    if lost:
        parts.append(_neurons(lost))
    facts = {"Trained on": ", ".join(card.training_data), "Ranking": card.ranking, "Choice": card.choice}
    facts["Vocabulary"] = card.vocabulary
    listed = [f"- {label}: {markdown_text(text)}" for label, text in facts.items() if text]
    if listed:
        parts.append("## How it was made\n\n" + "\n".join(listed) + "\n")
    if card.scores:
        parts.append(_scores(card))
    elif card.caveat:
        parts.append(f"{markdown_text(card.caveat)}\n")
    return "\n".join(parts)


def _front_matter(card: ModelCard, auto_class: str) -> str:
    # the Hub takes language codes without script or region; a JSON string is a YAML string
    languages = list(dict.fromkeys(code.partition("-")[0] for code in card.languages))
    lines = [
        "---",
        "library_name: transformers",
        f"pipeline_tag: {_PIPELINES.get(auto_class, 'token-classification')}",
    ]
    if card.license:
        lines.append(f"license: {json.dumps(card.license)}")
    if not is_local(card.base_model):
        lines.append(f"base_model: {json.dumps(card.base_model)}")
    if languages:
        lines += ["language:", *(f"- {json.dumps(code)}" for code in languages)]
    tags = ["polyhead", "attention-head-pruning", *([card.task] if card.task else [])]
    return "\n".join([*lines, "tags:", *(f"- {json.dumps(tag)}" for tag in tags), "---", ""])


def _summary(card: ModelCard, mask: HeadMask, auto_class: str, dense: bool, neurons: NeuronMask | None) -> str:
    what = f"{_what(card, auto_class)} with"
    total = mask.n_layers * mask.n_heads
    if not mask.n_pruned and neurons is None:
        return f"{what} all {total} attention heads; none was pruned.\n"
    how = "set to zero in full-size matrices" if dense else "removed for good"
    gone = [f"{mask.n_pruned} of its {total} attention heads"] if mask.n_pruned else []
    if neurons is not None:
        gone.append(f"{neurons.n_pruned} of its {neurons.keep.size} feed-forward neurons")
    return f"{what} {' and '.join(gone)} {how} by polyhead.\n"


def _what(card: ModelCard, auto_class: str) -> str:
    # a folder's name means nothing to a reader, and on the Hub it could link to someone else's model
    base, task = markdown_text(card.base_model), "" if auto_class == _MASKED else markdown_text(card.task)
    bundled = card.base_model in OWN_ENCODERS and not Path(card.base_model).is_dir()
    if not is_local(card.base_model) or bundled:
        return f"{base}, fine-tuned for {task}," if task else base
    if not task and auto_class in ("AutoModel", _MASKED):
        return "A Transformer encoder" if auto_class == "AutoModel" else "A masked language model"
    return f"A model{f' for {task}' if task else ''}, fine-tuned from a local encoder,"


def _loading(name: str, auto_class: str, pruned: bool, neurons: NeuronMask | None) -> str:
    shown = python_string(name)
    code = f"from transformers import {auto_class}\n\nmodel = {auto_class}.from_pretrained({shown})"
    if auto_class == "AutoModelForTokenClassification":
        code = code.replace("\n", ", pipeline\n", 1)
        code += f'\ntag = pipeline("token-classification", model={shown}, aggregation_strategy="first")  # as it was trained'
    if auto_class == _SENTENCES:
        code = code.replace("\n", ", pipeline\n", 1)
        code += f'\nlabel = pipeline("text-classification", model={shown})  # of a pair: label({{"text": ..., "text_pair": ...}})'
    if pruned:
        code = f"import polyhead  # before loading: lets Transformers load layers of different sizes\n{code}"
    text = f"## Loading\n\n```python\n{code}\n```\n"
    if pruned:
        sizes, what = "`config.num_attention_heads` is that", "heads"
        if neurons is not None:
            sizes, what = (
                "`config.num_attention_heads` and the inner width of the feed-forward blocks are those",
                "heads and neurons",
            )
        text += (
            "\nThe loaded model is ordinary and trainable. Without `import polyhead` loading fails with a shape mismatch; do not "
            "pass `ignore_mismatched_sizes=True` then, because it fills the pruned layers with random weights. "
            f"{sizes} of the unpruned model: tools that rely on it, such as ONNX Runtime's attention "
            f"fusion, can give wrong results. `quantization_config` in `config.json` holds the list of pruned {what}. "
            "For such tools, and for use without polyhead, "
            '`polyhead.densify("FOLDER", "NEW_FOLDER")` writes the same model at full shape, with zeros.\n'
        )
    return text


def _masks(masks: Mapping[str, HeadMask]) -> str:
    name = next(iter(masks))
    rows = [f"| {own} | {mask.n_kept} of {mask.n_layers * mask.n_heads} |" for own, mask in masks.items()]
    text = (
        f"After `import polyhead`, `model(..., mask_names=[{python_string(name)}, ...])` reads each sentence of a batch with the "
        "heads of its own mask. Without `mask_names`, and without polyhead, all heads are used, which is none of these models.\n"
    )
    return "\n".join(["## Masks\n", text, "| mask | heads |", "|---|---|", *rows]) + "\n"


def _heads(mask: HeadMask) -> str:
    lines = ["## Heads\n", "0-based, in the numbering of the unpruned model.\n", "| layer | removed | kept |", "|---|---|---|"]
    for layer, keep in enumerate(mask.keep):
        removed = " ".join(str(head) for head in range(mask.n_heads) if not keep[head])
        lines.append(f"| {layer} | {removed or '–'} | {int(keep.sum())} of {mask.n_heads} |")
    return "\n".join(lines) + "\n"


def _neurons(mask: NeuronMask) -> str:
    lines = ["## Neurons\n", "Of the feed-forward block of each layer.\n", "| layer | kept |", "|---|---|"]
    lines += [f"| {layer} | {count} of {mask.n_neurons} |" for layer, count in enumerate(mask.counts)]
    return "\n".join(lines) + "\n"


def _scores(card: ModelCard) -> str:
    lines = ["## Scores\n", "| data | language | metric | this model | unpruned |", "|---|---|---|---|---|"]
    for row in card.scores:
        points = ("–" if score is None else f"{100 * score:.1f}" for score in (row.pruned, row.full))
        cells = (row.data, row.language, row.metric, *points)
        lines.append("| " + " | ".join(map(markdown_text, cells)) + " |")
    return "\n".join(lines) + "\n" + (f"\n{markdown_text(card.caveat)}\n" if card.caveat else "")
