"""The main job, end to end: settings in; a pruned model, its scores, one result file and one report out."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from polyhead.architectures import head_mask
from polyhead.checkpoint import load_tagger, save_pruned
from polyhead.devices import pick_device, pick_precision
from polyhead.errors import StoreError
from polyhead.head_files import write_scores
from polyhead.progress import Progress, Silent
from polyhead.report.page import write_report
from polyhead.store import RunStore, read_json, write_json_atomic
from polyhead.studies.cell import Outcome, run_cell
from polyhead.studies.environment import environment, model_hash
from polyhead.studies.fits import Bench, forget_checkpoints, load_fitted
from polyhead.studies.grid import RunSettings, expand
from polyhead.studies.inputs import open_inputs
from polyhead.studies.record import cell_record, cost_record, model_card
from polyhead.studies.summary import noise_pool, summarise

SCHEMA = 1


def run(
    settings: RunSettings,
    *,
    out: str | Path,
    seeds: Sequence[int] = (42,),
    controls: Sequence[str] = (),
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The content of `result.json`; in `out` it leaves that file, `scores.tsv`, `report.md` and the pruned model in `model/`.

    Costs a seed: one fine-tuning of the whole encoder, one scoring pass, and as many more fine-tunings as the search asks for;
    each control costs another search. Stopped at any moment and called again with the same settings it continues, and ends with
    the same numbers; called with more seeds or controls it adds them.

    Args:
        settings: See `run_settings`.
        out: Folder of the results.
        seeds: One or more; the first one's model is saved.
        controls: Some of `random` and `highest` (the same search over other orders) and `noise` (re-seeded unpruned runs).
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        progress: Told of every step.

    Raises:
        PolyheadError: Bad settings, data that cannot be read as declared, or a folder that holds other results.
    """
    cells = expand(settings, seeds=seeds, controls=controls)
    folder = Path(out)
    _refuse_to_lose(folder / "result.json", seeds, controls)
    where = pick_device(device)
    precision = pick_precision(settings.train.precision, where)
    inputs = open_inputs(settings)
    started = time.perf_counter()
    with RunStore(folder / "fits", settings) as store:
        present = head_mask(load_tagger(settings.model, labels=inputs.labels, seed=0, revision=settings.revision))
        bench = Bench(settings, inputs, store, model_hash(settings.model), present, where, precision, progress or Silent())
        outcomes = [run_cell(bench, cell) for cell in cells]
        pool = noise_pool(bench, seeds) if "noise" in controls else None
        chosen = load_fitted(bench, outcomes[0].chosen)
        records = [cell_record(bench, outcome) for outcome in outcomes]
        result = {
            "schema": SCHEMA,
            "status": "done",
            "settings": {
                **asdict(settings),
                "words": inputs.words,
                "seeds": list(seeds),
                "controls": list(controls),
                "claim": settings.rules.claim,
            },
            "environment": environment(where, precision),
            "data": list(inputs.records),
            "cells": records,
            "trials": records[0]["trials"],
            "targets": records[0]["targets"],
            "statistics": summarise(bench, outcomes, pool),
            "noise": pool,
            "cost": cost_record(chosen, present),
            "seconds": time.perf_counter() - started,
        }
        card = model_card(bench, outcomes[0], n_seeds=len(seeds))
        save_pruned(chosen, folder / "model", tokenizer=inputs.tokenizer, card=card, overwrite=True)
        _write_scores(folder, outcomes)
        write_json_atomic(folder / "result.json", result)
        written: dict[str, Any] = read_json(folder / "result.json")
        write_report(written, folder)
        forget_checkpoints(bench)
    return written


def _refuse_to_lose(path: Path, seeds: Sequence[int], controls: Sequence[str]) -> None:
    """A finished run may be added to, but none of its seeds and controls may go."""
    if not path.is_file():
        return
    held = read_json(path).get("settings", {})
    lost = [*sorted({*held.get("seeds", ())} - {*seeds}), *sorted({*held.get("controls", ())} - {*controls})]
    if lost:
        raise StoreError(
            f"{path}: holds results that this run would drop ({', '.join(map(str, lost))}): name them too, or choose "
            "another folder"
        )


def _write_scores(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """`scores.tsv` of the first seed, `scores.seedN.tsv` of the others."""
    ranked = [outcome for outcome in outcomes if outcome.cell.arm == "ranked"]
    for outcome in ranked:
        name = "scores.tsv" if outcome is ranked[0] else f"scores.seed{outcome.cell.seed}.tsv"
        write_scores(folder / name, outcome.scores)
