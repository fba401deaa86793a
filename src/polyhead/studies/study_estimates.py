"""What a store and the machine know about the cost of cells: finished ones, seconds of stages, sizes of corpora and models."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json
from polyhead.core.records import record_names
from polyhead.models.names import model_folder
from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_plan import StageTime

_FEW: Final = 200  # cells and fine-tunings that estimates rest on


def finished_cells(store: Path) -> frozenset[str]:
    """Fingerprints of the cells whose record is there; none without a store. Records are not opened."""
    return frozenset(record_names(store / "cells"))


def few_cells(store: Path) -> list[dict[str, Any]]:
    """At most 200 records of cells, which estimates rest on; unreadable ones are left out."""
    return list(_few(store / "cells", "[0-9a-f]*.json"))


def stage_times(store: Path, cells: Iterable[dict[str, Any]]) -> list[StageTime]:
    """What finished stages took: all of these cells, each once, or without cells at most 200 fine-tunings; unreadable ones not.

    Args:
        store: The store.
        cells: From `few_cells`.
    """
    others: dict[tuple[str, str], StageTime] = {}
    trained = set[str]()
    for record in cells:
        facts = record.get("cell")
        model = str(facts.get("model")) if isinstance(facts, dict) else ""
        for own in record.get("made_in", ()):
            if not isinstance(own, dict) or not {"stage", "kind", "seconds"} <= own.keys():
                continue  # found and said where records are checked
            if own["kind"] == "fine-tuning":
                trained.add(str(own["stage"]))
            else:
                others[str(own["stage"]), str(own["kind"])] = StageTime(str(own["kind"]), model, 0, float(own["seconds"]))
    fits = _documents(store / "fits" / name / "record.json" for name in sorted(trained))
    return [*_trainings(fits if trained else _few(store / "fits", "*/record.json")), *others.values()]


def _trainings(records: Iterable[dict[str, Any]]) -> Iterator[StageTime]:
    """The fine-tunings among them; models that were pruned without training are none."""
    for record in records:
        settings, result = record.get("settings"), record.get("result")
        if isinstance(settings, dict) and isinstance(result, dict) and (fit := result.get("fit")):
            n = int(fit.get("steps", 0)) * int(settings.get("train", {}).get("batch_size", 0))
            yield StageTime("fine-tuning", str(settings.get("model")), n, float(result.get("seconds", 0.0)))


def train_sentences(cells: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Training sentences by reference, as records of cells say."""
    found = {}
    for record in cells:
        for data in record.get("data", ()):
            if isinstance(data, dict) and data.get("split") == "train":
                found[str(data.get("name"))] = int(data.get("sentences", 0))
    return found


def gigabytes(cells: Iterable[StudyCell]) -> dict[str, float]:
    """Size of the weights of the encoders that are on this machine, by name; the Hub is not asked."""
    found = {}
    for name, place in {cell.model: cell.encoder for cell in cells}.items():
        size = sum(path.stat().st_size for path in model_folder(place).glob("*.safetensors"))
        if size:
            found[name] = size / 1e9
    return found


def _few(folder: Path, pattern: str) -> Iterator[dict[str, Any]]:
    return _documents(islice(folder.glob(pattern), _FEW))


def _documents(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        try:
            content = read_json(path)
        except StoreError:
            continue
        if isinstance(content, dict):
            yield content
