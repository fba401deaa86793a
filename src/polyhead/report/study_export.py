"""A study's results for other programs: one JSON Lines file, or runs of MLflow."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.files import write_text_atomic
from polyhead.report.study_families import source_of
from polyhead.report.study_record import StudyCellRecord

SECONDS: Final = ("fine-tuning", "pruning", "ranking", "screening", "testing")
_EXTRA: Final = "exporting to MLflow needs mlflow-skinny: pip install 'polyhead[mlflow]'"


def flat_rows(cells: Sequence[StudyCellRecord]) -> Iterator[dict[str, Any]]:
    """One row per cell and target, with plain values only.

    Columns: `cell` (its name), `task`, `model`, `revision`, `setting`, `source`, `sources` (separated by spaces), `target`,
    `language`, `method`, `normalisation`, `protocol`, `rank_on`, `combine`, `target_tenths`, `train_limit`, `select_on`,
    `unseen_labels`, `arm`, `seed`, `search` and `train` fields as `search_how`, `train_epochs` and so on, `k`, `n_heads`,
    `words`, `unpruned_METRIC`, `pruned_METRIC`, `nested_unpruned_METRIC` and `gain_METRIC` (points), `dev_0` and `dev_k` (points
    of the search), `chosen_reason`, `model_hash`, `seconds_fine_tuning` and so on, `fine_tunings`. Cells of the arm `noise` have
    no scores here. What a cell lacks is null.
    """
    for cell in cells:
        facts, result = cell.cell, cell.result
        shared = {
            "cell": cell.name,
            **{name: getattr(facts, name) for name in ("task", "model", "revision", "setting")},
            "source": source_of(facts),
            "sources": " ".join(facts.sources),
        }
        rest = {
            **{name: getattr(facts, name) for name in _SETTINGS},
            "seed": facts.train.seed,
            **{f"search_{name}": _plain(value) for name, value in vars(facts.search).items()},
            **{f"train_{name}": _plain(value) for name, value in vars(facts.train).items() if name != "seed"},
            "model_hash": cell.model_hash,
            **{f"seconds_{kind.replace('-', '_')}": cell.seconds.get(kind) for kind in SECONDS},
        }
        if result is None:
            for name in facts.targets:
                yield {**shared, "target": name, "language": cell.language[name], **rest}
            continue
        dev = {trial.k: trial.dev for trial in result.trials}
        for target in result.targets:
            scores: dict[str, Any] = {}
            for metric, value in target.unpruned.items():
                pruned = target.pruned.get(metric)
                scores[f"unpruned_{metric}"], scores[f"pruned_{metric}"] = value, pruned
                scores[f"nested_unpruned_{metric}"] = (target.nested_unpruned or {}).get(metric)
                scores[f"gain_{metric}"] = None if pruned is None else pruned - value
            yield {
                **shared,
                "target": target.name,
                "language": target.language,
                **rest,
                "k": target.k,
                "n_heads": sum(value is not None for line in result.scores for value in line),
                "words": target.n_words,
                **scores,
                "dev_0": dev.get(0),
                "dev_k": dev.get(target.k),
                "chosen_reason": result.chosen_reason,
                "fine_tunings": result.fine_tunings,
            }


_SETTINGS: Final = (
    "method",
    "normalisation",
    "protocol",
    "rank_on",
    "combine",
    "target_tenths",
    "train_limit",
    "select_on",
    "unseen_labels",
    "arm",
)


def write_jsonl(path: Path, cells: Sequence[StudyCellRecord]) -> int:
    """Write `flat_rows` to a file, every row with the same keys, and return their number.

    Raises:
        StoreError: The file cannot be written.
    """
    rows = list(flat_rows(cells))
    keys = dict.fromkeys(key for row in rows for key in row)
    lines = [json.dumps({key: row.get(key) for key in keys}, ensure_ascii=False, allow_nan=False) for row in rows]
    write_text_atomic(path, "".join(f"{line}\n" for line in lines))
    return len(rows)


def write_mlflow(uri: str, cells: Sequence[StudyCellRecord], *, experiment: str) -> int:
    """One MLflow run per cell: settings as parameters, scores of every target as metrics; returns the number of new runs.

    A cell that the experiment already has as a finished run (a tag says so) is left alone, so that the command can be repeated.

    Args:
        uri: A file `NAME.db`, which becomes an SQLite store, or any tracking address of MLflow.
        cells: The cells.
        experiment: Name of the experiment; made if it is missing.

    Raises:
        SettingError: The extra `mlflow` is not installed.
        StoreError: MLflow refuses; the message is MLflow's own.
    """
    try:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise SettingError(_EXTRA) from None
    by_cell: dict[str, list[dict[str, Any]]] = {}
    for row in flat_rows(cells):
        by_cell.setdefault(row["cell"], []).append(row)
    try:
        client = MlflowClient(tracking_uri=f"sqlite:///{uri}" if uri.endswith(".db") and "://" not in uri else uri)
        held = client.get_experiment_by_name(experiment)
        place = held.experiment_id if held is not None else client.create_experiment(experiment)
        there = _held_cells(client, place)
        new = {name: rows for name, rows in by_cell.items() if name not in there}
        for name, rows in new.items():
            run = client.create_run(place, run_name=name, tags={"polyhead.cell": name})
            params = [Param(key, str(value)[:500]) for key, value in rows[0].items() if _is_setting(key) and value is not None]
            metrics = [
                Metric(_metric_name(f"{row['target']}/{key}"), float(value), 0, 0)
                for row in rows
                for key, value in row.items()
                if key.startswith(("unpruned_", "pruned_", "gain_", "nested_")) and value is not None
            ]
            metrics += [Metric(key, float(rows[0][key]), 0, 0) for key in ("k", "dev_0", "dev_k") if rows[0].get(key) is not None]
            client.log_batch(run.info.run_id, params=params, tags=[RunTag("polyhead.arm", str(rows[0]["arm"]))])
            for start in range(0, len(metrics), 500):
                client.log_batch(run.info.run_id, metrics=metrics[start : start + 500])
            client.set_terminated(run.info.run_id)
    except MlflowException as error:
        raise StoreError(f"{uri}: MLflow: {' '.join(str(error).split())}") from None
    return len(new)


def _held_cells(client: Any, experiment: str) -> set[str]:
    found: set[str] = set()
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        whole = [run for run in page if run.info.status == "FINISHED"]
        found |= {run.data.tags["polyhead.cell"] for run in whole if "polyhead.cell" in run.data.tags}
        token = page.token
        if not token:
            return found


def _is_setting(key: str) -> bool:
    scores = ("unpruned_", "pruned_", "gain_", "nested_", "dev_", "seconds_")
    return not key.startswith(scores) and key not in ("cell", "target", "language", "k", "words", "n_heads", "chosen_reason")


def _metric_name(text: str) -> str:
    """A name that MLflow takes."""
    return "".join(sign if sign.isalnum() or sign in "_-./ " else "_" for sign in text)


def _plain(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else value
