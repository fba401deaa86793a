"""Files of scores and masks, and checks against the model that they are used on."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from polyhead.core.arguments import PATH, require
from polyhead.core.errors import DataFormatError, SettingError
from polyhead.core.files import write_json_atomic, write_text_atomic
from polyhead.core.heads import HeadId, HeadMask, HeadScores
from polyhead.core.settings_file import Many, checked
from polyhead.core.values import jsonable, plain
from polyhead.selection.score_rows import (
    BANNER,
    LARGEST,
    MATRICES,
    SCHEMA,
    Rows,
    check_schema,
    checked_matrix,
    parse_json,
    read_rows,
    read_text,
)

_OPTIONAL: Final = MATRICES[1:]
_FACTS: Final[dict[str, Any]] = {
    "n": int,
    "languages": Many[str],
    "model": str,
    "data_hash": str,
    "seconds": float,
    "passes": dict[str, float],
    "settings": dict[str, Any],
}


def check_shape(path: Path, shape: tuple[int, ...], *, model: str, present: HeadMask) -> None:
    """Refuse a shape that is not the model's.

    Raises:
        SettingError: The shapes differ.
    """
    if shape != present.keep.shape:
        raise SettingError(
            f"{path}: is for {shape[0]} layers of {shape[1]} heads; {model} has {present.n_layers} of {present.n_heads}"
        )


def check_scores(path: Path, scores: HeadScores, *, model: str, present: HeadMask) -> None:
    """Refuse scores of another shape, or without a score for a head of the model.

    Raises:
        SettingError: The shapes differ, or a head of the model has no score.
    """
    check_shape(path, scores.values.shape, model=model, present=present)
    unscored = [head for head in present.kept if np.isnan(scores.values[head.layer, head.head])]
    if unscored:
        raise SettingError(
            f"{path}: no score for head {unscored[0]}, which {model} has ({len(unscored)} unscored heads); "
            "rank this model with polyhead rank"
        )


def other_model(path: Path, scores: HeadScores, *, model: str) -> str:
    """A note if the file says that the scores come from another model; else empty."""
    if not scores.model or scores.model == model or Path(scores.model).resolve() == Path(model).resolve():
        return ""
    return f"note: {path}: its scores come from {scores.model}, but are used on {model}"


def scores_document(scores: HeadScores) -> dict[str, Any]:
    """Scores as the JSON object of `write_scores`; NaN is None."""
    matrices = {"scores": scores.values, **_optional(scores)}
    return dict(jsonable({"schema": SCHEMA, "method": scores.method, **matrices, **_facts(scores)}))


def write_scores(path: str | Path, scores: HeadScores) -> None:
    """Write scores atomically, as JSON if the name ends in `.json`, else as TSV; both read back the same numbers.

    Raises:
        StoreError: The file cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_scores(Path(folder) / "scores.tsv", HeadScores(np.array([[3.0, 1.0]]), "mine"))
    ...     print((Path(folder) / "scores.tsv").read_text().splitlines()[-1].split())
    ['0', '1', '1.0']
    """
    require(path=(path, PATH), scores=(scores, HeadScores))
    path = Path(path)
    if path.suffix == ".json":
        write_json_atomic(path, scores_document(scores))
        return
    matrices = {"score": scores.values, **_optional(scores)}
    lines = [f"{BANNER} {SCHEMA} method={scores.method}", f"# {json.dumps(plain(_facts(scores)), ensure_ascii=False)}"]
    lines.append("\t".join(["layer", "head", *matrices]))
    for layer, head in np.ndindex(scores.values.shape):
        numbers = (float(matrix[layer, head]) for matrix in matrices.values())
        lines.append(
            "\t".join([str(layer), str(head), *(repr(number) if math.isfinite(number) else "null" for number in numbers)])
        )
    write_text_atomic(path, "\n".join(lines) + "\n")


def read_scores(path: str | Path) -> HeadScores:
    """Scores from a TSV or JSON file, told apart by the first character; a file without a method gets `unknown`.

    Raises:
        DataFormatError: The file cannot be read, has another shape or schema, or a head is missing, duplicate or not a number.

    >>> from tempfile import TemporaryDirectory
    >>> scores = HeadScores(np.array([[3.0, 1.0]]), "mine")
    >>> with TemporaryDirectory() as folder:
    ...     write_scores(Path(folder) / "scores.json", scores)
    ...     read_scores(Path(folder) / "scores.json") == scores
    True
    """
    require(path=(path, PATH))
    path = Path(path)
    text = read_text(path)
    rows = _from_json(path, parse_json(path, text)) if text.lstrip()[:1] in ("{", "[") else read_rows(path, text)
    values, where = rows.matrices["score"], f"{path}:{rows.facts_line}"
    try:
        facts = {name: checked(f"`{name}`", rows.facts[name], kind) for name, kind in _FACTS.items() if name in rows.facts}
    except SettingError as error:
        raise DataFormatError(f"{where}: {error}") from None
    said = tuple(rows.facts.get(name, size) for name, size in zip(("n_layers", "n_heads"), values.shape, strict=True))
    if said != values.shape:
        raise DataFormatError(f"{where}: n_layers and n_heads are {said}, the scores are {values.shape}: these must be equal")
    passes = facts.pop("passes", {})
    facts |= {f"{name}_passes": passes.get(name, 0.0) for name in ("forward", "backward")}
    facts |= {name: rows.matrices.get(name) for name in _OPTIONAL}
    return HeadScores(values, rows.method, **facts)


def _from_json(path: Path, content: Any) -> Rows:
    if isinstance(content, list):
        return Rows({"score": checked_matrix(path, "scores", content)}, "unknown", {}, 1)
    check_schema(path, 1, content.get("schema", SCHEMA))
    if "scores" not in content:
        raise DataFormatError(
            f"{path}:1: no `scores` among {', '.join(map(repr, content)) or 'no keys'}: expected [layers][heads]"
        )
    values = checked_matrix(path, "scores", content["scores"])
    extra = {name: checked_matrix(path, name, content[name]) for name in _OPTIONAL if content.get(name) is not None}
    for name, matrix in extra.items():
        if matrix.shape != values.shape:
            raise DataFormatError(f"{path}:1: `{name}` is {matrix.shape}, `scores` is {values.shape}: shapes must be equal")
    return Rows({"score": values, **extra}, str(content.get("method", "unknown")), content, 1)


def read_each(paths: Sequence[Path]) -> list[tuple[Path, HeadScores]]:
    """The paths and their scores.

    Raises:
        DataFormatError: A file cannot be read as scores.
        SettingError: A file is named twice.
    """
    if twice := [path for path, count in Counter(path.resolve() for path in paths).items() if count > 1]:
        raise SettingError(f"{twice[0]}: is named more than once; name each file once")
    return [(path, read_scores(path)) for path in paths]


def read_mask(path: Path) -> HeadMask:
    """A mask from a JSON file with `pruned` and the model's shape, or with `keep`.

    Raises:
        DataFormatError: The file cannot be read, has another shape or schema, or names a head outside the model.
    """
    content = parse_json(path, read_text(path))
    if isinstance(content, list):
        content = {"keep": content}
    check_schema(path, 1, content.get("schema", SCHEMA))
    if ("keep" in content) == ("pruned" in content):
        raise DataFormatError(f"{path}:1: expected a mask with either `keep` or `pruned`, found {sorted(content)}")
    if "keep" in content:
        keep = checked_matrix(path, "keep", content["keep"], booleans=True)
        return HeadMask(keep.astype(np.bool_))
    shape = [content.get("n_layers"), content.get("n_heads")]
    if not all(type(size) is int and 0 < size <= LARGEST for size in shape):
        raise DataFormatError(
            f"{path}:1: n_layers and n_heads are {str(shape)[:60]}: expected the unpruned model's numbers next to `pruned`"
        )
    pruned = content["pruned"]
    if not (isinstance(pruned, list) and all(isinstance(head, str) for head in pruned)):
        raise DataFormatError(f'{path}:1: `pruned` is {str(pruned)[:60]}: expected a list of heads written like "3.5"')
    try:
        return HeadMask.without(int(shape[0]), int(shape[1]), [HeadId.parse(head) for head in pruned])
    except SettingError as error:
        raise DataFormatError(f"{path}:1: {error}") from None


def _optional(scores: HeadScores) -> dict[str, NDArray[np.float64]]:
    matrices = {name: getattr(scores, name) for name in _OPTIONAL}
    return {name: matrix for name, matrix in matrices.items() if matrix is not None}


def _facts(scores: HeadScores) -> dict[str, Any]:
    names = ("n_layers", "n_heads", "n", "languages", "model", "data_hash", "seconds")
    facts = {name: getattr(scores, name) for name in names}
    passes = {"forward": float(scores.forward_passes), "backward": float(scores.backward_passes)}
    return facts | {"passes": passes, "settings": scores.settings}
