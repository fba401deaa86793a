"""The README.md of a pruned checkpoint: what was pruned, on which data, with which scores, and how to load it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from polyhead.core.heads import HeadMask
from polyhead.models.names import is_local


@dataclass(frozen=True)
class CardScore:
    """One line of the table of scores; scores are fractions, None where there is none.

    Attributes:
        data: Corpus and split, such as `ud/de_gsd test`.
        language: BCP-47 code.
        metric: Name of the figure.
        pruned: Score of this model.
        full: Score of the same recipe with nothing pruned.
    """

    data: str
    language: str
    metric: str
    pruned: float | None
    full: float | None = None


@dataclass(frozen=True)
class ModelCard:
    """What the maker of a checkpoint knows about it; empty fields are left out of the page.

    Attributes:
        base_model: Hub id of the encoder that was fine-tuned; for a folder, or if empty, the page says "a local encoder".
        task: Name of the task, such as `pos`.
        languages: BCP-47 codes of the training data.
        training_data: Corpora and splits trained on.
        ranking: How heads were ranked and on which data, in one sentence.
        choice: How the number of heads was chosen, in one sentence.
        scores: One per data set.
        caveat: What a reader must know before believing the scores, such as "one seed, no controls: no claim of a gain".
        license: Identifier that the Hub knows, such as `apache-2.0`.
    """

    base_model: str = ""
    task: str = ""
    languages: Sequence[str] = ()
    training_data: Sequence[str] = ()
    ranking: str = ""
    choice: str = ""
    scores: Sequence[CardScore] = ()
    caveat: str = ""
    license: str = ""


def render_card(card: ModelCard, mask: HeadMask, *, name: str, auto_class: str, dense: bool = False) -> str:
    """The page as Markdown with the Hub's YAML front matter.

    Args:
        card: What is known.
        mask: Heads that are left.
        name: Title, and the name used in the loading example.
        auto_class: Class of Transformers that loads the model.
        dense: The folder holds full-shape weights with zeros at the pruned places.
    """
    parts = [_front_matter(card), f"# {name}\n", _summary(card, mask, auto_class, dense), _loading(name, auto_class, mask, dense)]
    if mask.n_pruned:
        parts.append(_heads(mask))
    facts = {"Trained on": ", ".join(card.training_data), "Ranking": card.ranking, "Number of heads": card.choice}
    listed = [f"- {label}: {text}" for label, text in facts.items() if text]
    if listed:
        parts.append("## How it was made\n\n" + "\n".join(listed) + "\n")
    if card.scores:
        parts.append(_scores(card))
    elif card.caveat:
        parts.append(f"{card.caveat}\n")
    return "\n".join(parts)


def _front_matter(card: ModelCard) -> str:
    # the Hub knows language codes without script or region; a JSON string is a YAML string
    languages = list(dict.fromkeys(code.partition("-")[0] for code in card.languages))
    lines = ["---", "library_name: transformers", "pipeline_tag: token-classification"]
    if card.license:
        lines.append(f"license: {json.dumps(card.license)}")
    if not is_local(card.base_model):
        lines.append(f"base_model: {json.dumps(card.base_model)}")
    if languages:
        lines += ["language:", *(f"- {json.dumps(code)}" for code in languages)]
    tags = ["polyhead", "attention-head-pruning", *([card.task] if card.task else [])]
    return "\n".join([*lines, "tags:", *(f"- {json.dumps(tag)}" for tag in tags), "---", ""])


def _summary(card: ModelCard, mask: HeadMask, auto_class: str, dense: bool) -> str:
    what = f"{_what(card, auto_class)} with"
    total = mask.n_layers * mask.n_heads
    if not mask.n_pruned:
        return f"{what} all of its {total} attention heads; none was pruned.\n"
    how = "set to zero in matrices of full size" if dense else "removed for good"
    return f"{what} {mask.n_pruned} of its {total} attention heads {how} by polyhead.\n"


def _what(card: ModelCard, auto_class: str) -> str:
    # a folder's name means nothing to a reader, and as a link on the Hub it could point to someone else's model
    if not is_local(card.base_model):
        return f"{card.base_model}, fine-tuned for `{card.task}`," if card.task else card.base_model
    if not card.task and auto_class == "AutoModel":
        return "A Transformer encoder"
    return f"A model{f' for `{card.task}`' if card.task else ''}, fine-tuned from a local encoder,"


def _loading(name: str, auto_class: str, mask: HeadMask, dense: bool) -> str:
    pruned = mask.n_pruned and not dense
    code = f'from transformers import {auto_class}\n\nmodel = {auto_class}.from_pretrained("{name}")'
    if pruned:
        code = f"import polyhead  # before loading: it teaches Transformers the uneven layers\n{code}"
    text = f"## Loading\n\n```python\n{code}\n```\n"
    if pruned:
        text += (
            "\nThe model is an ordinary, trainable one. Without `import polyhead` loading fails with a shape mismatch; do not "
            "pass `ignore_mismatched_sizes=True` then, which fills the pruned layers with random weights and goes on. "
            "The list of removed heads takes the place of `quantization_config` in `config.json`. For tools without polyhead "
            '`polyhead.densify("FOLDER", "NEW_FOLDER")` writes the same model at full shape, with zeros.\n'
        )
    return text


def _heads(mask: HeadMask) -> str:
    lines = ["## Heads\n", "0-based, in the numbering of the unpruned model.\n", "| layer | removed | kept |", "|---|---|---|"]
    for layer, keep in enumerate(mask.keep):
        removed = " ".join(str(head) for head in range(mask.n_heads) if not keep[head])
        lines.append(f"| {layer} | {removed or '–'} | {int(keep.sum())} of {mask.n_heads} |")
    return "\n".join(lines) + "\n"


def _scores(card: ModelCard) -> str:
    lines = ["## Scores\n", "| data | language | metric | this model | nothing pruned |", "|---|---|---|---|---|"]
    for row in card.scores:
        cells = (row.data, row.language, row.metric, _points(row.pruned), _points(row.full))
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n" + (f"\n{card.caveat}\n" if card.caveat else "")


def _points(score: float | None) -> str:
    return "–" if score is None else f"{100 * score:.1f}"
