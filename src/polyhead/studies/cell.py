"""The one recipe, top to bottom: fine-tune, rank heads, search for k, test; no branch on a task's name."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from polyhead.core.files import read_json, write_json_atomic
from polyhead.core.heads import HeadId, HeadMask, HeadScores, normalise
from polyhead.core.values import fingerprint
from polyhead.importance.baselines import random_scores
from polyhead.importance.methods import method, score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.masked_evaluation import masked_counts
from polyhead.selection.combining import combine
from polyhead.selection.ranking import masks_for, rank
from polyhead.selection.resampling import redrawn
from polyhead.selection.score_files import read_scores, write_scores
from polyhead.selection.trials import TrialTable, search
from polyhead.studies.evaluations import Figures
from polyhead.studies.finetunes import FineTuned, RunContext, fine_tuned, load_fine_tuned, main_metric, points, pooled, tested
from polyhead.studies.kept import remember
from polyhead.studies.settings import Cell
from polyhead.studies.stages import version

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """Result of a cell.

    Attributes:
        cell: The cell.
        scores: Normalised head scores; the lowest are pruned first (negated for `highest`, random for `random`).
        ranking: Heads in pruning order.
        table: The search.
        masks: One for each k in 0..K.
        unpruned: Test figures of k = 0 by target.
        pruned: Test figures of the k reported for that target.
        reported: The k reported by target: the chosen one, or under the paper's protocols the best on that target.
        trial_tests: Test figures by k and target; empty but under the paper's protocols.
        full: The fine-tuning with every head.
        chosen: The fine-tuning with the chosen k.
        chosen_tests: Test figures of `chosen` by target.
        n_fits: Fine-tunings that the search used.
        trial_seconds: By k.
    """

    cell: Cell
    scores: HeadScores
    ranking: tuple[HeadId, ...]
    table: TrialTable
    masks: tuple[HeadMask, ...]
    unpruned: Mapping[str, Figures]
    pruned: Mapping[str, Figures]
    reported: Mapping[str, int]
    trial_tests: Mapping[int, Mapping[str, Figures]]
    full: FineTuned
    chosen: FineTuned
    chosen_tests: Mapping[str, Figures]
    n_fits: int
    trial_seconds: Mapping[int, float]


def run_cell(context: RunContext, cell: Cell) -> Outcome:
    """One seed of one arm, from the pre-trained encoder to test scores."""
    spec, train, present = cell.settings.search, cell.train, context.present
    full = fine_tuned(context, train, present)
    scores = arm_scores(context, cell, full)
    ranking = rank(scores)
    masks = masks_for(
        ranking,
        range(spec.max_pruned + 1),
        (present.n_layers, present.n_heads),
        min_per_layer=spec.min_per_layer,
        gone=present.pruned,
    )
    fits: dict[int, FineTuned] = {}

    def score_at(k: int) -> float:
        fits[k] = fine_tuned(context, train, masks[k])
        score = points(context, fits[k].dev)
        logger.info("seed %d, %s: k = %d scores %.2f on dev (%.0f s)", cell.seed, cell.arm, k, score, fits[k].seconds)
        return score

    table = search(
        score_at,
        max_pruned=spec.max_pruned,
        how=spec.how,
        objective=spec.objective,
        screen=lambda: screen(context, full, masks),
        standard_error=lambda: standard_error(context, full.dev),
        delta=spec.delta,
        include_zero=spec.include_zero,
    )
    if cell.settings.rules.reported_split:
        trial_tests = {k: tested(context, fit) for k, fit in fits.items()}
        reported = {name: _best_on(context, trial_tests, name) for name in context.inputs.tests}
    else:
        trial_tests = {}
        reported = dict.fromkeys(context.inputs.tests, table.chosen)
    return Outcome(
        cell=cell,
        scores=scores,
        ranking=ranking,
        table=table,
        masks=masks,
        unpruned=tested(context, full),
        pruned={name: tested(context, fits[k])[name] for name, k in reported.items()},
        reported=reported,
        trial_tests=trial_tests,
        full=full,
        chosen=fits[table.chosen],
        chosen_tests=tested(context, fits[table.chosen]),
        n_fits=0 if spec.prune == "after" else len(table.trials),
        trial_seconds={k: fit.seconds for k, fit in fits.items()},
    )


def arm_scores(context: RunContext, cell: Cell, full: FineTuned) -> HeadScores:
    """The scores that decide pruning order in this arm, lowest first: normalised, negated (`highest`) or random."""
    if cell.arm == "random":
        return random_scores(context.present, seed=cell.seed)
    scores = _method_scores(context, cell, full)
    values = normalise(scores.values, cell.settings.normalisation)
    facts = {**scores.settings, "normalisation": cell.settings.normalisation}
    if cell.arm == "highest":
        values, facts = -values, {**facts, "order": "highest first"}
    if values is not scores.values:  # the intervals are of the raw values
        scores = replace(scores, low=None, high=None)
    return replace(scores, values=values, settings=facts)


def _method_scores(context: RunContext, cell: Cell, full: FineTuned) -> HeadScores:
    """Scores on the sources' dev sets, merged over sources as the paper's MD heuristic does; kept beside the fine-tuned model."""
    options = {"n_lowest": max(1, cell.settings.search.max_pruned)} if method(cell.settings.method).takes("n_lowest") else {}
    what = {
        "stage": version("scoring"),
        "method": cell.settings.method,
        "seed": cell.seed,
        "precision": context.precision,
        "split": "dev",
        "options": options,
    }
    path = full.folder / f"scores-{fingerprint(what)}.json"
    if path.is_file():
        return read_scores(path)
    model = load_fine_tuned(context, full)
    parts: list[HeadScores] = []
    for name, data in context.inputs.source_dev.items():
        scores = score_heads(
            cell.settings.method,
            model,
            scoring_batches(data.encoded),
            seed=cell.seed,
            precision=context.precision,
            progress=context.progress,
            resume_file=path.with_suffix(f".{len(parts)}.partial"),
            options=options,
        )
        parts.append(
            replace(
                scores,
                languages=(context.inputs.languages[name],),
                model=f"{cell.settings.model}, fine-tuned (seed {cell.seed})",
                data_hash=context.inputs.sha256_of(name, "dev"),
            )
        )
    scores = parts[0] if len(parts) == 1 else combine(parts, "merged" if parts[0].total is not None else "summed")[0]
    write_scores(path, scores)
    remember(full.folder, path.name)
    for number in range(len(parts)):
        path.with_suffix(f".{number}.partial").unlink(missing_ok=True)
    return scores


def screen(context: RunContext, full: FineTuned, masks: tuple[HeadMask, ...]) -> list[float]:
    """Dev score in points of the full fine-tuned model under every mask, without training; kept on disk."""
    path = full.folder / f"screen-{fingerprint([version('screening'), *(mask.keep for mask in masks)])}.json"
    if not path.is_file():
        write_json_atomic(path, {"schema": 1, "dev": _masked_scores(context, full, masks)})
        remember(full.folder, path.name)
    found: list[float] = read_json(path)["dev"]
    return found


def _masked_scores(context: RunContext, full: FineTuned, masks: tuple[HeadMask, ...]) -> list[float]:
    """Dev scores in points; layers that two neighbouring masks share run once."""
    counts = masked_counts(
        load_fine_tuned(context, full),
        context.inputs.selection,
        context.inputs.task,
        context.inputs.labels,
        masks,
        precision=context.precision,
        progress=context.progress,
    )
    figures = [{name: float(main_metric(context, own.sum(axis=0))) for name, own in by_name.items()} for by_name in counts]
    return [100 * pooled(context, by_name) for by_name in figures]


def standard_error(context: RunContext, dev: Mapping[str, Figures]) -> float:
    """Standard error of the dev score in points, by bootstrap over sentences, corpora being independent."""
    variance = 0.0
    for name, figures in dev.items():
        weight = pooled(context, {other: float(other == name) for other in dev})
        variance += weight**2 * float(np.var(redrawn(figures.counts, lambda c: main_metric(context, c), seed=0), ddof=1))
    return float(100 * np.sqrt(variance))


def _best_on(context: RunContext, tests: Mapping[int, Mapping[str, Figures]], name: str) -> int:
    scores = {k: by_target[name].metrics[context.inputs.task.metric] for k, by_target in tests.items() if k > 0}
    return max(scores, key=lambda k: (scores[k], k), default=0)
