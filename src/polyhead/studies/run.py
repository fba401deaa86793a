"""The main job, end to end: settings in; a pruned model, its scores, one result file and one report out."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from polyhead.core.arguments import PATH, require
from polyhead.core.errors import StoreError
from polyhead.core.files import remove_leftovers, sha256_of
from polyhead.core.progress import Progress, Silent
from polyhead.core.settings_file import checked
from polyhead.core.specs import Whole
from polyhead.core.store import MODEL, RunStore
from polyhead.importance.methods import check_normalisation, check_summed
from polyhead.models.devices import placement
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.environment import environment, model_hash
from polyhead.models.loading import load_tagger
from polyhead.models.model_heads import head_mask
from polyhead.models.saving import save_pruned
from polyhead.report.document import read_document, write_document
from polyhead.report.finished_run import RESULT
from polyhead.report.notes import claim
from polyhead.report.page import PICTURE, write_report
from polyhead.report.record import RunRecord, SettingsRecord
from polyhead.selection.ranking import check_search
from polyhead.selection.score_files import write_scores
from polyhead.studies.arms import Cell, expand
from polyhead.studies.cell import Outcome, run_cell
from polyhead.studies.context import RunContext
from polyhead.studies.drawing import draw
from polyhead.studies.finetunes import fit_folder, forget_checkpoints, load_fine_tuned, warn_of_changes
from polyhead.studies.head_profile import profile_heads
from polyhead.studies.inputs import open_inputs
from polyhead.studies.kept import drop_damaged
from polyhead.studies.record import Clock, cell_record, cost_record, model_card, settings_record
from polyhead.studies.settings import RunSettings
from polyhead.studies.stages import versions
from polyhead.studies.summary import noise_pool, summarise

logger = logging.getLogger(__name__)

_FITS: Final = "fits"


def run(
    settings: RunSettings,
    *,
    out: str | Path,
    seeds: Sequence[int] = (42,),
    controls: Sequence[str] = (),
    head_analysis: int = 40,
    text: bool = True,
    device: str = "auto",
    progress: Progress | None = None,
    command: str | None = None,
) -> RunRecord:
    """The content of `result.json`; leaves it in `out`, with reports, scores, `heads.json` and the model in `model/`.

    Costs a seed: one fine-tuning of the whole encoder, one scoring pass, and as many more fine-tunings as the search asks for;
    each control costs another search. Stopped at any moment and called again with the same settings it continues, and ends with
    the same numbers; called with more seeds or controls it adds them. Called on a finished run it trains nothing: it checks
    the files against their hashes and rewrites what is missing or damaged. `heads.json` (what each head does in each
    language; `profile_heads` gives its cost) may be added later: the result then stays as it is.

    On disk stay the figures, counts and scores of every fine-tuning, and at most one full checkpoint beside `model/`: the
    unpruned one of the first seed; while the run works, five at most. Later steps that need other weights, such as an added
    control, train them again.

    Torch's own number of threads is used. If other processes keep the CPU busy, that can be many times slower: call
    `torch.set_num_threads(polyhead.models.devices.free_threads())` once before.

    Args:
        settings: See `run_settings`.
        out: Folder of the results.
        seeds: One or more; the first one's model is saved.
        controls: Some of `random`, `highest` and `depth` (the same search over other orders) and `noise` (re-seeded unpruned
            runs).
        head_analysis: Dev sentences per language for `heads.json`; 0 disables.
        text: Whether `heads.json` may hold example sentences.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        progress: Updated after every step.
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
    >>> result.first.targets[0].language
    'de'
    """
    require(settings=(settings, RunSettings), out=(out, PATH))
    cells = expand(settings, seeds=seeds, controls=controls)
    trains = [cell.train for cell in cells]  # every seed is checked before anything is trained
    check_normalisation(settings.method, settings.normalisation)
    if settings.scaling != settings.normalisation:
        check_summed(settings.method)
    checked("head_analysis", head_analysis, Whole)
    folder = Path(out).expanduser()
    _check_folder(folder)
    where, precision = placement(device=device, precision=trains[0].precision)
    inputs, encoder = open_inputs(settings), model_hash(settings.encoder, revision=settings.revision)
    wanted = settings_record(settings, words=inputs.words, seeds=seeds, controls=controls)
    present = head_mask(
        load_tagger(settings.encoder, labels=inputs.encoder.labels, seed=0, revision=settings.revision, kind=inputs.task.kind)
    )
    check_search(settings.search, present)
    words = f"words: {inputs.words} in all languages; " if inputs.task.unit == "word" else ""
    logger.info("%sprotocol %s: %s", words, settings.protocol, settings.rules.claim)
    with RunStore(folder / _FITS, settings.facts, name=folder) as store:
        drop_damaged(store.folder)
        remove_leftovers(folder / MODEL)
        context = RunContext(settings, inputs, store, encoder, present, where, precision, progress or Silent(), folder / MODEL)
        record = _held(context, folder, wanted) or _result(context, cells, folder, wanted, command=command)
        if head_analysis:
            profile_heads(context, trains[0], folder, n_sentences=head_analysis, text=text)
        full = fit_folder(context, trains[0], present)
        forget_checkpoints(
            context, store.folder.iterdir(), () if record.first.fit == full.name else (full,)
        )  # else model/ has the same weights
        draw(folder)
        write_report(record, folder)
    return record


def _result(
    context: RunContext, cells: Sequence[Cell], folder: Path, wanted: SettingsRecord, *, command: str | None
) -> RunRecord:
    """Train, rank, test and write the files; `result.json` comes last: if it exists, so do the others."""
    settings, train, clock = context.settings, context.settings.train, Clock(context.store)
    outcomes: list[Outcome] = []
    warn_of_changes(context)
    for place, cell in enumerate(cells):
        needed = {outcomes[0].full.folder, outcomes[0].chosen.folder} if outcomes else set()
        outcomes.append(run_cell(context, cell, needed=needed))
        needed = {outcomes[0].full.folder, outcomes[0].chosen.folder}
        if any(later.seed == cell.seed for later in cells[place + 1 :]):
            needed.add(outcomes[-1].full.folder)
        forget_checkpoints(context, outcomes[-1].folders, needed)  # not of later cells, which an earlier process may have begun
    pool = noise_pool(context, outcomes) if "noise" in wanted.controls else None
    chosen = load_fine_tuned(context, outcomes[0].chosen)
    record = RunRecord(
        command=command,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        settings=wanted,
        environment=environment(context.device, context.precision),
        stages=versions(),
        model_hash=context.model_hash,
        learning_rate=train.rate_for(chosen.config.hidden_size),
        data=list(context.inputs.records),
        cells=[cell_record(context, outcome) for outcome in outcomes],
        statistics=summarise(context, outcomes, pool),
        noise=pool,
        cost=cost_record(chosen, context.present),
        seconds=clock.seconds(),
        files={},
    )
    card = model_card(context, outcomes[0], caveat=claim(record))
    choice = EncodingChoice(
        anchor=train.anchor,
        max_length=train.max_length,
        precision=context.precision,
        words=context.inputs.words,
        task=settings.task,
    )
    save_pruned(chosen, folder / MODEL, tokenizer=context.inputs.encoder.tokenizer, card=card, encoding=choice, overwrite=True)
    (folder / PICTURE).unlink(missing_ok=True)  # of an earlier result
    files = [*_write_scores(folder, outcomes), *sorted(path for path in (folder / MODEL).rglob("*") if path.is_file())]
    hashes = {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}
    record = record.model_copy(update={"files": hashes})
    write_report(record, folder)
    write_document(folder / RESULT, record)
    return record


def _check_folder(folder: Path) -> None:
    """Accept a new folder, an empty one, or that of an earlier run.

    Raises:
        StoreError: The folder holds something else.
    """
    fits = folder / _FITS
    if folder.is_dir() and not ((fits / "settings.json").is_file() or any(fits.glob("*/record.json"))):
        others = [path.name for path in folder.iterdir() if path.name != _FITS and not path.name.startswith(".")]
        if others:
            raise StoreError(f"{folder}: is not empty and not a run's folder ({min(others)}): choose another folder")


def _held(context: RunContext, folder: Path, wanted: SettingsRecord) -> RunRecord | None:
    """The finished result if it is of these inputs, and whole; a finished run may be added to, but it loses no seed or control.

    Raises:
        StoreError: It holds seeds or controls that are not named any more.
    """
    path = folder / RESULT
    if not path.is_file():
        return None
    try:
        held = read_document(path, RunRecord, then="written again")
    except StoreError as error:
        logger.warning("%s", error)
        return None
    facts = held.settings
    if lost := [*sorted({*facts.seeds} - {*wanted.seeds}), *sorted({*facts.controls} - {*wanted.controls})]:
        raise StoreError(
            f"{path}: holds results that this run would discard ({', '.join(map(str, lost))}): name them too, or choose another "
            "folder"
        )
    same = facts.seeds == wanted.seeds and {*facts.controls} == {*wanted.controls}
    now = list(context.inputs.records), context.model_hash, versions()
    if not same or (held.data, held.model_hash, held.stages) != now:
        return None
    for name, sha in held.files.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != sha:
            logger.warning("%s: missing, or damaged after it was written (its sha256 differs): written again", folder / name)
            return None
    return held


def _write_scores(folder: Path, outcomes: Sequence[Outcome]) -> list[Path]:
    """`scores.tsv` of the first seed, `scores.seedN.tsv` of the others."""
    ranked = [outcome for outcome in outcomes if outcome.cell.arm == "ranked"]
    paths = []
    for outcome in ranked:
        paths.append(folder / ("scores.tsv" if outcome is ranked[0] else f"scores.seed{outcome.cell.seed}.tsv"))
        write_scores(paths[-1], outcome.scores)
    return paths
