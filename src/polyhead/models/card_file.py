"""What a model's card says, as JSON beside the model, so that the next cut can carry it on."""

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Final

from polyhead.core.errors import CheckpointError, StoreError
from polyhead.core.store import read_json, write_json_atomic
from polyhead.models.model_card import CardScore, ModelCard
from polyhead.models.names import is_local
from polyhead.models.own_encoders import model_folder
from polyhead.models.sources import hub_file

CARD_FILE: Final = "model_card.json"
SCHEMA: Final = 1


def write_card(card: ModelCard, folder: Path) -> None:
    """Write `model_card.json` into an existing folder; `read_card` reads it back."""
    write_json_atomic(folder / CARD_FILE, {"schema": SCHEMA, **asdict(card)})


def read_card(name: str | Path, *, revision: str | None = None) -> ModelCard | None:
    """What the maker of a checkpoint wrote down about it, from `model_card.json`; None if there is no such file.

    Raises:
        CheckpointError: The file is there and is no such record.
    """
    path = hub_file(name, CARD_FILE, revision) if not is_local(str(name)) else model_folder(name) / CARD_FILE
    if path is None or not path.is_file():
        return None
    try:
        return _card_from(read_json(path))
    except (CheckpointError, StoreError) as error:
        raise CheckpointError(f"{path}: {error}; delete the file to go on without it") from None


def _card_from(record: object) -> ModelCard:
    names = {field.name for field in fields(ModelCard)}
    if not isinstance(record, dict) or record.get("schema") != SCHEMA or set(record) != names | {"schema"}:
        raise CheckpointError(f"expected the fields {', '.join(sorted(names))} and schema {SCHEMA}")
    facts = {name: record[name] for name in names}
    texts = [facts[name] for name in names - {"languages", "training_data", "scores"}]
    lists = [facts["languages"], facts["training_data"]]
    if not all(isinstance(text, str) for text in texts) or not all(_is_list_of(item, str) for item in lists):
        raise CheckpointError("expected texts, and lists of texts for languages and training_data")
    if not _is_list_of(facts["scores"], dict):
        raise CheckpointError("expected a list of objects for scores")
    facts |= {name: tuple(facts[name]) for name in ("languages", "training_data")}
    return ModelCard(**{**facts, "scores": tuple(_score_from(score) for score in facts["scores"])})


def _score_from(record: dict[str, Any]) -> CardScore:
    texts, numbers = ("data", "language", "metric"), ("pruned", "full")
    good = set(record) == {*texts, *numbers} and all(isinstance(record[name], str) for name in texts)
    if not good or not all(record[name] is None or isinstance(record[name], float) for name in numbers):
        raise CheckpointError(f"score {record!r}: expected texts {', '.join(texts)} and numbers {', '.join(numbers)}")
    return CardScore(**record)


def _is_list_of(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def cut_further(card: ModelCard, *, ranking: str, choice: str) -> ModelCard:
    """The card of a model from which more heads were cut: its scores become those of the model before, to compare with."""
    before = tuple(replace(score, pruned=None, full=score.pruned if score.full is None else score.full) for score in card.scores)
    caveat = "The scores are those of the model with nothing pruned; after this cut it was not scored."
    return replace(card, ranking=ranking, choice=choice, scores=before, caveat=caveat if before else card.caveat)
