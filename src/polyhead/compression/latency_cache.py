"""Where the points of latency tables are kept between runs, by machine and shape of the model."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pooch
from transformers import PreTrainedModel

from polyhead.compression.latency_table import Conditions, Point, parsed
from polyhead.core.errors import StoreError
from polyhead.core.files import write_bytes_atomic
from polyhead.core.records import read_records, record_bytes, set_aside
from polyhead.core.values import fingerprint
from polyhead.models.classifiers import kind_of

CACHE_VARIABLE: Final = "POLYHEAD_CACHE"
_SCHEMA: Final = 1


def cache_folder() -> Path:
    """Where latency tables are kept: `POLYHEAD_CACHE`, else the user's cache folder (`XDG_CACHE_HOME`)."""
    given = os.environ.get(CACHE_VARIABLE)
    return (Path(given).expanduser() if given else Path(pooch.os_cache("polyhead"))) / "latency"


def keep_points(path: Path, conditions: Conditions, points: Sequence[Point]) -> None:
    """Replace what a file keeps.

    Raises:
        WriteError: It cannot be written.
    """
    content = {"conditions": asdict(conditions), "points": [asdict(point) for point in points]}
    write_bytes_atomic(path, record_bytes(content, schema=_SCHEMA))


def kept_points(path: Path) -> list[Point]:
    """What a file keeps; nothing if it is missing. A damaged file is renamed, with a line in the log.

    Raises:
        StoreError: It cannot be read or renamed.
    """
    if not path.exists():
        return []
    found = read_records(path.parent, schema=_SCHEMA, names=[path.stem])
    if not found.damaged:
        with suppress(StoreError, KeyError):
            return list(parsed(tuple[Point, ...], found.good[0].content["points"], str(path)))
    set_aside([path])
    return []


def cache_key(model: PreTrainedModel, conditions: Conditions) -> str:
    """The name of what is kept: conditions, class, shape and type of weights; neither names nor, for taggers, the vocabulary."""
    ignored = ("_name_or_path", "id2label", "label2id", "architectures", "transformers_version", "problem_type", "dtype")
    records = ("quantization_config", "per_layer_config", "pruned_heads")
    config = {
        name: value
        for name, value in model.config.to_dict().items()
        if name not in (*ignored, *records) and not name.endswith("_token_id") and "drop" not in name
    }
    if kind_of(model) != "masked":
        config.pop("vocab_size", None)
    return fingerprint(
        {"schema": _SCHEMA, **asdict(conditions), "class": type(model).__name__, "weights": str(model.dtype), "config": config}
    )
