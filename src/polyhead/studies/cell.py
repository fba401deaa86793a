"""The one recipe, top to bottom: fine-tune, rank heads, search for k, test; no branch on a task's name."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from polyhead.core.files import read_json, write_json_atomic
from polyhead.core.heads import HeadMask, HeadScores, normalise
from polyhead.core.specs import allowed_loss
from polyhead.core.values import fingerprint
from polyhead.importance.baselines import random_scores
from polyhead.importance.methods import method, score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.masked_evaluation import masked_counts
from polyhead.learning.metrics import metric_from_counts
from polyhead.selection.combining import combine
from polyhead.selection.ranking import masks_for, rank
from polyhead.selection.score_files import read_scores, write_scores
from polyhead.selection.trials import Trial, TrialTable, choose, search
from polyhead.studies.context import RunContext
from polyhead.studies.evaluations import Figures, points, pooled, standard_error
from polyhead.studies.finetunes import FineTuned, fine_tuned, forget_checkpoints, load_fine_tuned, tested
from polyhead.studies.kept import remember
from polyhead.studies.nested_search import nested_fit, pruned_from
from polyhead.studies.settings import Cell
from polyhead.studies.stages import version

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """Result of a cell.

    Attributes:
        cell: The cell.
        scores: Normalised head scores; the lowest are pruned first (negated for `highest`, random for `random`).
        table: The search.
        full: The fine-tuning with every head.
        masks: For k = 0..K.
        fits: The fine-tuning of each trial, by k; of a nested search those of k = 0 and of the chosen k.
        nested: The fine-tuning under nested masks, of a nested search.
        reported: The k reported by target: the chosen one, or under the paper's protocols the best on that target.
        unpruned: Test figures of `full` by target.
        tests: Test figures by k and target: of the chosen k, and under the paper's protocols of every trial.
        nested_unpruned: Test figures of `nested` with every head, by target.
    """

    cell: Cell
    scores: HeadScores
    table: TrialTable
    full: FineTuned
    masks: Sequence[HeadMask]
    fits: Mapping[int, FineTuned]
    nested: FineTuned | None
    reported: Mapping[str, int]
    unpruned: Mapping[str, Figures]
    tests: Mapping[int, Mapping[str, Figures]]
    nested_unpruned: Mapping[str, Figures] | None

    @property
    def chosen(self) -> FineTuned:
        """The fine-tuning with the chosen k."""
        return self.fits[self.table.chosen]

    @property
    def folders(self) -> set[Path]:
        """Of all its fine-tunings."""
        return {fit.folder for fit in (self.full, self.nested, *self.fits.values()) if fit is not None}

    @property
    def pruned(self) -> dict[str, Figures]:
        """Test figures of the k reported for each target."""
        return {name: self.tests[k][name] for name, k in self.reported.items()}


def run_cell(context: RunContext, cell: Cell, *, needed: Collection[Path] = ()) -> Outcome:
    """One seed of one arm, from the pre-trained encoder to test scores.

    The weights of a trial are removed as soon as it cannot be chosen any more, unless its folder is among the `needed`.
    """
    spec, train, present = context.settings.search, cell.train, context.present
    full = fine_tuned(context, train, present)
    scores = arm_scores(context, cell, full)
    ks = range(spec.max_pruned + 1)
    masks = masks_for(rank(scores), ks, context.shape, min_per_layer=spec.min_per_layer, gone=present.pruned)
    fits: dict[int, FineTuned] = {0: full}
    trials: list[Trial] = []
    nested = nested_fit(context, train, masks) if spec.how == "nested" else None

    def fine_tuned_score(k: int) -> float:
        fits[k] = fine_tuned(context, train, masks[k])
        score = points(context, fits[k].dev)
        logger.info("seed %d, %s: k = %d scores %.2f on dev (%.0f s)", cell.seed, cell.arm, k, score, fits[k].seconds)
        if context.settings.rules.reported_split:
            tested(context, fits[k])
        # a trial that is not the best so far will not be the best later
        trials.append(Trial(k, score))
        best, _ = choose(trials, allowed_loss(spec.objective), include_zero=spec.include_zero)
        forget_checkpoints([fit.folder for fit in fits.values()], [full.folder, fits[best].folder, *needed])
        return score

    table = search(
        fine_tuned_score if nested is None else nested.score_at,
        max_pruned=spec.max_pruned,
        how=spec.how,
        objective=spec.objective,
        screen=lambda: screen(context, full, masks),
        standard_error=lambda: standard_error(context, full.dev),
        delta=spec.delta,
        include_zero=spec.include_zero,
    )
    if nested is not None:
        dev, k = nested.dev, table.chosen
        said = "seed %d, %s: nested masks score %.2f on dev with k = 0, %.2f with the chosen k = %d (%.0f s)"
        logger.info(said, cell.seed, cell.arm, dev[0], dev[k], k, nested.fit.seconds)
        if k:
            fits[k] = pruned_from(context, nested, masks[k], k)
    names = context.inputs.tests
    if context.settings.rules.reported_split:
        tests = {k: tested(context, fit) for k, fit in fits.items()}
        reported = {name: _best_on(context, tests, name) for name in names}
    else:
        tests = {table.chosen: tested(context, fits[table.chosen])}
        reported = dict.fromkeys(names, table.chosen)
    return Outcome(
        cell=cell,
        scores=scores,
        table=table,
        full=full,
        masks=masks,
        fits=fits,
        nested=None if nested is None else nested.fit,
        reported=reported,
        unpruned=tested(context, full),
        tests=tests,
        nested_unpruned=None if nested is None else tested(context, nested.fit),
    )


def arm_scores(context: RunContext, cell: Cell, full: FineTuned) -> HeadScores:
    """The scores that decide pruning order in this arm, lowest first: normalised, negated (`highest`) or random."""
    if cell.arm == "random":
        return random_scores(context.present, seed=cell.seed)
    scores, normalisation = _method_scores(context, cell, full), context.settings.normalisation
    values = normalise(scores.values, normalisation)
    facts = {**scores.settings, "normalisation": normalisation}
    if cell.arm == "highest":
        values, facts = -values, {**facts, "order": "highest first"}
    if values is not scores.values:  # the intervals are of the raw values
        scores = replace(scores, low=None, high=None)
    return replace(scores, values=values, settings=facts)


def _method_scores(context: RunContext, cell: Cell, full: FineTuned) -> HeadScores:
    """Scores on the sources' dev sets, merged over sources as the paper's MD heuristic does; kept beside the fine-tuned model."""
    settings = context.settings
    options = {"n_lowest": max(1, settings.search.max_pruned)} if method(settings.method).takes("n_lowest") else {}
    what = {
        "stage": version("scoring"),
        "method": settings.method,
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
            settings.method,
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
                model=f"{settings.model}, fine-tuned (seed {cell.seed})",
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
    """Dev score in points of the full fine-tuned model under every mask, without training; kept on disk.

    Layers that two neighbouring masks share run once.
    """
    path = full.folder / f"screen-{fingerprint([version('screening'), *(mask.keep for mask in masks)])}.json"
    if path.is_file():
        kept: list[float] = read_json(path)["dev"]
        return kept
    model, inputs = load_fine_tuned(context, full), context.inputs
    counts = masked_counts(
        model, inputs.selection, inputs.task, inputs.encoder.labels, masks, precision=context.precision, progress=context.progress
    )
    metrics = [{name: float(metric_from_counts(inputs.task, own.sum(axis=0))) for name, own in part.items()} for part in counts]
    found = [100 * pooled(context, by_name) for by_name in metrics]
    write_json_atomic(path, {"schema": 1, "dev": found})
    remember(full.folder, path.name)
    return found


def _best_on(context: RunContext, tests: Mapping[int, Mapping[str, Figures]], name: str) -> int:
    scores = {k: by_target[name].metrics[context.inputs.task.metric] for k, by_target in tests.items() if k > 0}
    return max(scores, key=lambda k: (scores[k], k), default=0)
