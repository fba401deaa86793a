"""Reads and rewrites Parquet files and folders saved by the `datasets` library, which is an extra (`polyhead[datasets]`)."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from polyhead.core.errors import SettingError
from polyhead.data.textfile import TextFile, data_error, shown

_BATCH = 1000
_INFO, _STATE, _DICT = "dataset_info.json", "state.json", "dataset_dict.json"
_MAGIC = b"PAR1"


def looks_like_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


def looks_saved(path: Path) -> bool:
    """Whether a folder was written by `save_to_disk`, of one split or of several."""
    return (path / _INFO).is_file() or (path / _DICT).is_file()


def saved_splits(path: Path) -> dict[str, Path]:
    """The folder of each split by its name in a folder that `save_to_disk` of a `DatasetDict` wrote; empty for other folders.

    Raises:
        DataFormatError: The list of splits cannot be read.
    """
    index = path / _DICT
    if not index.is_file():
        return {}
    try:
        return {str(name): path / str(name) for name in json.loads(index.read_text(encoding="utf-8"))["splits"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise data_error(index, 0, f"cannot be read ({type(error).__name__})", '{"splits": ["train", ...]}') from None


def parquet_records(file: TextFile, columns: Sequence[str] | None) -> tuple[Any, Iterator[tuple[str, dict[str, Any]]]]:
    """Features (`datasets.Features`) and rows of a Parquet file, each row with its place.

    Args:
        file: The file; hashed.
        columns: What to read of each row; absent ones are left out. None reads all.

    Raises:
        SettingError: The `datasets` library is not installed.
        DataFormatError: The file is missing or cannot be read.
    """
    if not file.path.is_file():
        raise data_error(file.path, 0, "a folder" if file.path.is_dir() else "no such file", "a Parquet file; check the path")
    datasets, parquet = _datasets(file.path), _parquet()
    try:
        opened = parquet.ParquetFile(file.path)
        names = opened.schema_arrow.names
        features = datasets.Features.from_arrow_schema(opened.schema_arrow)
    except _errors() as error:
        raise _unreadable(file.path, "a Parquet file", error) from None
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise data_error(file.path, 0, f"two columns named {twice[0]!r}", "every name once")
    _hash(file, [file.path])
    return features, _rows(file, opened.iter_batches(_BATCH, columns=_there(features, columns)), "a Parquet file")


def saved_records(file: TextFile, columns: Sequence[str] | None) -> tuple[Any, Iterator[tuple[str, dict[str, Any]]]]:
    """The same of a folder that `save_to_disk` of a `Dataset` wrote.

    Raises:
        SettingError: The `datasets` library is not installed.
        DataFormatError: The folder is missing, holds several splits, or cannot be read.
    """
    dataset = _loaded(file.path)
    _hash(file, _data_files(file.path))
    batches = dataset.select_columns(_there(dataset.features, columns)).with_format("arrow").iter(_BATCH)
    return dataset.features, _rows(file, batches, "a saved dataset")


def label_names(features: Any) -> Mapping[str, tuple[str, ...]]:
    """Names of the labels by column, for numbers, or lists of numbers, whose features name them (`ClassLabel`)."""
    inner: dict[str, Any] = {name: getattr(feature, "feature", feature) for name, feature in features.items()}
    return {name: tuple(one.names) for name, one in inner.items() if type(one).__name__ == "ClassLabel"}


def rewrite_parquet(path: Path, column: str, values: Sequence[Sequence[str | int]], out: Path) -> None:
    """Write a Parquet file with one column replaced, or added as the last; other columns and the metadata stay.

    Args:
        path: A file that `parquet_records` has read.
        column: Its name.
        values: One list per row; numbers only where the column holds named numbers.
        out: File to write.
    """
    datasets, parquet = _datasets(path), _parquet()
    table = parquet.ParquetFile(path).read()  # read_table adds columns where folders are named like year=2020
    parquet.write_table(_with_column(datasets, table, column, values), out)


def rewrite_saved(path: Path, column: str, values: Sequence[Sequence[str | int]], out: Path) -> None:
    """The same for a folder that `save_to_disk` of a `Dataset` wrote; `out` is a new folder."""
    datasets = _datasets(path)
    table = _with_column(datasets, _loaded(path).with_format("arrow")[:], column, values)
    were_shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out.parent, prefix=".") as folder:
            datasets.Dataset(datasets.table.InMemoryTable(table)).save_to_disk(Path(folder) / "out")
            os.replace(Path(folder) / "out", out)
    finally:
        if not were_shown:
            datasets.enable_progress_bars()


def _datasets(path: Path) -> Any:
    try:
        import datasets
    except ImportError:
        step = "pip install 'polyhead[datasets]', or save the data as JSON Lines (to_json) and read it with --columns jsonl"
        raise SettingError(f"{path}: reading Parquet and saved datasets needs the datasets library; {step}") from None
    return datasets


def _parquet() -> Any:
    import pyarrow.parquet

    return pyarrow.parquet


def _errors() -> tuple[type[Exception], ...]:
    import pyarrow

    return (OSError, ValueError, LookupError, TypeError, AttributeError, pyarrow.ArrowException)


def _unreadable(path: Path, what: str, error: Exception) -> Exception:
    reason = (str(error).splitlines() or [""])[0]
    return data_error(path, 0, f"cannot be read as {what} ({type(error).__name__}: {shown(reason)})", "an undamaged one")


def _loaded(path: Path) -> Any:
    if splits := saved_splits(path):
        first = path / next(iter(splits))
        raise data_error(path, 0, f"a folder of the splits {', '.join(splits)}", f"the folder of one split, such as {first}")
    if not (path / _INFO).is_file() or not (path / _STATE).is_file():
        found = f"a folder without {_INFO} and {_STATE}" if path.is_dir() else "no such folder" if not path.exists() else "a file"
        raise data_error(path, 0, found, "a folder that save_to_disk of the datasets library wrote; check the path")
    datasets = _datasets(path)
    if not _data_files(path):
        raise data_error(path, 0, "a saved dataset without a row, and not one sentence", "at least one")
    try:
        return datasets.load_from_disk(str(path))
    except _errors() as error:
        raise _unreadable(path, "a saved dataset", error) from None


def _data_files(path: Path) -> list[Path]:
    try:
        return [path / row["filename"] for row in json.loads((path / _STATE).read_text(encoding="utf-8"))["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise data_error(
            path / _STATE, 0, f"cannot be read ({type(error).__name__})", "the file that save_to_disk wrote"
        ) from None


def _there(features: Any, columns: Sequence[str] | None) -> list[str]:
    return [name for name in features if columns is None or name in columns]


def _rows(file: TextFile, batches: Iterator[Any], what: str) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    try:
        for batch in batches:
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row
    except _errors() as error:
        raise _unreadable(file.path, what, error) from None


def _hash(file: TextFile, paths: Sequence[Path]) -> None:
    if file.digest is None:
        return
    for path in paths:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                file.digest.update(chunk)


def _with_column(datasets: Any, table: Any, column: str, values: Sequence[Sequence[str | int]]) -> Any:
    import pyarrow

    features = datasets.Features.from_arrow_schema(table.schema)
    is_new = column not in table.column_names
    numbers = any(isinstance(value, int) for row in values for value in row) or column in label_names(features)
    if is_new:
        cells = pyarrow.array(values, pyarrow.list_(pyarrow.int64() if numbers else pyarrow.string()))
        changed = table.append_column(column, cells)
    else:
        kind = table.schema.field(column).type
        try:
            cells = pyarrow.array(values, kind)
        except pyarrow.ArrowException:
            step = "write another column, with tag=NAME in --columns"
            raise SettingError(f"column {column} is of the type {kind}, which takes no lists of tags; {step}") from None
        changed = table.set_column(table.column_names.index(column), table.schema.field(column), cells)
    if is_new and b"huggingface" in (table.schema.metadata or {}):
        features[column] = datasets.Features.from_arrow_schema(changed.select([column]).schema.remove_metadata())[column]
        changed = changed.replace_schema_metadata({**table.schema.metadata, **features.arrow_schema.metadata})
    return changed
