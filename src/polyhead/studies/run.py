"""The main job, end to end: settings in; a pruned model, its scores, one result file and one report out."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.files import read_json, remove_leftovers, write_json_atomic
from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress, Silent
from polyhead.core.settings_file import checked
from polyhead.core.specs import SearchSpec, Whole
from polyhead.core.store import RunStore
from polyhead.core.values import plain
from polyhead.importance.methods import check_normalisation, method
from polyhead.models.architectures import head_mask
from polyhead.models.devices import placement
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.environment import environment, model_hash
from polyhead.models.loading import load_tagger
from polyhead.models.saving import save_pruned
from polyhead.report.finished_run import RESULT
from polyhead.report.html_page import write_html_page
from polyhead.report.notes import claim
from polyhead.report.page import write_report
from polyhead.selection.ranking import masks_for
from polyhead.selection.score_files import write_scores
from polyhead.studies.cell import Outcome, run_cell
from polyhead.studies.finetunes import RunContext, fine_tuned, forget_checkpoints, load_fine_tuned
from polyhead.studies.head_profile import profile_heads
from polyhead.studies.inputs import open_inputs
from polyhead.studies.record import Clock, cell_record, cost_record, model_card
from polyhead.studies.settings import RunSettings, expand
from polyhead.studies.summary import noise_pool, summarise

logger = logging.getLogger(__name__)

SCHEMA = 1
LEFT = (RESULT, "report.md", "scores.tsv", "model")


def run(
    settings: RunSettings,
    *,
    out: str | Path,
    seeds: Sequence[int] = (42,),
    controls: Sequence[str] = (),
    head_analysis: int = 100,
    device: str = "auto",
    progress: Progress | None = None,
    command: str | None = None,
) -> dict[str, Any]:
    """The content of `result.json`; leaves it in `out`, with reports, scores, `heads.json` and the model in `model/`.

    Costs a seed: one fine-tuning of the whole encoder, one scoring pass, and as many more fine-tunings as the search asks for;
    each control costs another search. Stopped at any moment and called again with the same settings it continues, and ends with
    the same numbers; called when it is done it trains nothing; called with more seeds or controls it adds them. `heads.json`
    (what each head does in each language; `profile_heads` gives its cost) may be added later: the result then stays as it is.

    Args:
        settings: See `run_settings`.
        out: Folder of the results.
        seeds: One or more; the first one's model is saved.
        controls: Some of `random` and `highest` (the same search over other orders) and `noise` (re-seeded unpruned runs).
        head_analysis: Dev sentences per language for `heads.json`; 0 disables.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        progress: Told of every step.
        command: Kept in the result, for its reader.

    Raises:
        PolyheadError: Bad settings, data that cannot be read as declared, or a folder that holds other results.

    >>> from tempfile import TemporaryDirectory
    >>> import polyhead as ph
    >>> settings = ph.run_settings(
    ...     model="polyhead/tiny", task="pos", sources=["phrases/en"], targets=["phrases/de"],
    ...     search={"max_pruned": 1}, train={"epochs": 1}, train_limit=32,
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     result = run(settings, out=folder, seeds=[42], head_analysis=0)
    >>> result["targets"][0]["language"]
    'de'
    """
    cells = expand(settings, seeds=seeds, controls=controls)
    trains = [cell.train for cell in cells]  # every seed is checked before anything is trained
    method(settings.method)
    check_normalisation(settings.method, settings.normalisation)
    checked("head_analysis", head_analysis, Whole)
    folder = Path(out).expanduser()
    where, precision = placement(device=device, precision=trains[0].precision)
    inputs, encoder = open_inputs(settings), model_hash(settings.model, revision=settings.revision)
    held = _held(folder, settings, seeds=seeds, controls=controls)
    if held is not None and (held["data"] != plain(inputs.records) or held["model_hash"] != encoder):
        held = None
    if held is not None and not head_analysis:
        return held
    present = head_mask(load_tagger(settings.model, labels=inputs.labels, seed=0, revision=settings.revision))
    _check_search(settings.search, present)
    logger.info("words: %s in all languages; protocol %s: %s", inputs.words, settings.protocol, settings.rules.claim)
    with RunStore(folder / "fits", settings, name=folder) as store:
        remove_leftovers(folder / "model")
        clock = Clock(store)
        context = RunContext(settings, inputs, store, encoder, present, where, precision, progress or Silent())
        if held is not None:
            profile_heads(context, fine_tuned(context, trains[0], present), folder, n_sentences=head_analysis)
            write_html_page(folder)
            return held
        outcomes = [run_cell(context, cell) for cell in cells]
        pool = noise_pool(context, outcomes) if "noise" in controls else None
        chosen = load_fine_tuned(context, outcomes[0].chosen)
        records = [cell_record(context, outcome) for outcome in outcomes]
        result = {
            **_facts(context, seeds=seeds, controls=controls, command=command),
            "learning_rate": settings.train.rate_for(chosen.config.hidden_size),
            "cells": records,
            "trials": records[0]["trials"],
            "targets": records[0]["targets"],
            "statistics": summarise(context, outcomes, pool),
            "noise": pool,
            "cost": cost_record(chosen, present),
            "seconds": clock.seconds(),
        }
        card = model_card(context, outcomes[0], caveat=claim(result))
        choice = _encoding(context)
        save_pruned(chosen, folder / "model", tokenizer=inputs.tokenizer, card=card, encoding=choice, overwrite=True)
        _write_scores(folder, outcomes)
        if head_analysis:
            profile_heads(context, fine_tuned(context, trains[0], present), folder, n_sentences=head_analysis)
        record = cast(dict[str, Any], plain(result))
        write_report(record, folder)
        forget_checkpoints(context, seeds=seeds, chosen=outcomes[0].chosen)
        write_json_atomic(folder / RESULT, record)  # where it stands, every number does
        write_html_page(folder)  # can be drawn again at any time
    return record


def _facts(context: RunContext, *, seeds: Sequence[int], controls: Sequence[str], command: str | None) -> dict[str, Any]:
    """What was run, on what, by which versions."""
    settings = context.settings
    return {
        "schema": SCHEMA,
        "status": "done",
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": {
            **asdict(settings),
            "words": context.inputs.words,
            "seeds": list(seeds),
            "controls": list(controls),
            "claim": settings.rules.claim,
        },
        "environment": environment(context.device, context.precision),
        "model_hash": context.model_hash,
        "data": list(context.inputs.records),
    }


def _encoding(context: RunContext) -> EncodingChoice:
    """What the saved tagger must know to read text as it did in training."""
    settings, train = context.settings, context.settings.train
    return EncodingChoice(
        anchor=train.anchor,
        max_length=train.max_length,
        precision=context.precision,
        words=context.inputs.words,
        task=settings.task,
    )


def _held(folder: Path, settings: RunSettings, *, seeds: Sequence[int], controls: Sequence[str]) -> dict[str, Any] | None:
    """The finished result if it is of these seeds and controls; a finished run may be added to, but no seed or control may go.

    Raises:
        StoreError: The folder holds something else.
    """
    if not (folder / "fits" / "settings.json").is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise StoreError(f"{folder}: is not empty and holds no run: choose another folder")
        return None
    if not (folder / RESULT).is_file():
        return None
    held: dict[str, Any] = read_json(folder / RESULT)
    facts = held.get("settings", {})
    with RunStore(folder / "fits", settings, name=folder, mode="read"):
        lost = [*sorted({*facts.get("seeds", ())} - {*seeds}), *sorted({*facts.get("controls", ())} - {*controls})]
    if lost:
        raise StoreError(
            f"{folder / RESULT}: holds results that this run would drop ({', '.join(map(str, lost))}): name them too, or choose "
            "another folder"
        )
    same = facts.get("seeds") == list(seeds) and facts.get("controls") == list(controls)
    return held if same and all((folder / name).exists() for name in LEFT) else None


def _check_search(search: SearchSpec, present: HeadMask) -> None:
    """So many heads must be there to go, which is better said before a training than after it."""
    shape = (present.n_layers, present.n_heads)
    try:
        masks_for(present.kept, [search.max_pruned], shape, min_per_layer=search.min_per_layer, gone=present.pruned)
    except SettingError as error:
        raise SettingError(f"max_pruned {search.max_pruned}, min_per_layer {search.min_per_layer}: {error}") from None


def _write_scores(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """`scores.tsv` of the first seed, `scores.seedN.tsv` of the others."""
    ranked = [outcome for outcome in outcomes if outcome.cell.arm == "ranked"]
    for outcome in ranked:
        name = "scores.tsv" if outcome is ranked[0] else f"scores.seed{outcome.cell.seed}.tsv"
        write_scores(folder / name, outcome.scores)
