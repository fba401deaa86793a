"""The one recipe, top to bottom: fine-tune, rank heads, search for k, test; no branch on a task's name."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polyhead.core.heads import HeadMask, HeadScores, Normalisation, normalise
from polyhead.core.specs import allowed_loss
from polyhead.core.values import fingerprint
from polyhead.importance.baselines import depth_scores, random_scores
from polyhead.importance.methods import method, score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.selection.combining import combine
from polyhead.selection.gains import RANKED
from polyhead.selection.ranking import masks_for, rank
from polyhead.selection.score_files import read_scores, write_scores
from polyhead.selection.trials import Trial, TrialTable, choose, search
from polyhead.studies.arms import Cell
from polyhead.studies.context import RunContext
from polyhead.studies.evaluations import Figures, points, points_by_name, pooled, standard_error
from polyhead.studies.finetunes import FineTuned, fine_tuned, forget_checkpoints, load_fine_tuned, tested
from polyhead.studies.kept import remember
from polyhead.studies.nested_search import masked_tests, nested_fit, pruned_from
from polyhead.studies.screening import screen
from polyhead.studies.stages import version

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """Result of a cell, or of the search along one order; one that is not kept may have no tests.

    Attributes:
        cell: The cell.
        scores: Normalised head scores; the lowest are pruned first. Negated for `highest`, random for `random`, by layer for
            `depth`.
        table: The search.
        full: The fine-tuning with every head.
        masks: By k, for every number of heads up to K that can be pruned.
        fits: The fine-tuning of each trial, by k; of a nested search those of k = 0 and of the chosen k.
        nested: The fine-tuning under nested masks, of a nested search.
        dev: Dev scores in points by k and name of the data.
        screening_seconds: Wall-clock time of scoring masks without training.
        reported: The k reported by target: the chosen one, or under the paper's protocols the best on that target.
        unpruned: Test figures of `full` by target.
        tests: Test figures by k and target: of the chosen k, and under the paper's protocols of every trial.
        nested_unpruned: Test figures of `nested` with every head, by target; None of a control.
        masked_tests: Test counts `[sentences, columns]` of `nested` under the masks of all k that were scored, by k and target;
            empty unless every k is tested.
        others: The searches along other orders that were not kept.
    """

    cell: Cell
    scores: HeadScores
    table: TrialTable
    full: FineTuned
    masks: Mapping[int, HeadMask]
    fits: Mapping[int, FineTuned]
    nested: FineTuned | None
    dev: Mapping[int, Mapping[str, float]]
    screening_seconds: float
    reported: Mapping[str, int] = field(default_factory=dict)
    unpruned: Mapping[str, Figures] = field(default_factory=dict)
    tests: Mapping[int, Mapping[str, Figures]] = field(default_factory=dict)
    nested_unpruned: Mapping[str, Figures] | None = None
    masked_tests: Mapping[int, Mapping[str, NDArray[np.int64]]] = field(default_factory=dict)
    others: "tuple[Outcome, ...]" = ()

    @property
    def chosen(self) -> FineTuned:
        """The fine-tuning with the chosen k."""
        return self.fits[self.table.chosen]

    @property
    def folders(self) -> set[Path]:
        """Of all its fine-tunings."""
        own = {fit.folder for fit in (self.full, self.nested, *self.fits.values()) if fit is not None}
        return own.union(*(other.folders for other in self.others))

    @property
    def pruned(self) -> dict[str, Figures]:
        """Test figures of the k reported for each target."""
        return {name: self.tests[k][name] for name, k in self.reported.items()}


def run_cell(context: RunContext, cell: Cell, *, needed: Collection[Path] = ()) -> Outcome:
    """One seed of one arm, from the pre-trained encoder to test scores.

    With several orders (`combine = "each"`) each has its own search, and the one whose choice scores best is kept, on dev, or
    under the paper's protocols on the tests; of equals the one with more heads pruned. Only what is kept is tested, unless tests
    choose. The weights of a trial are removed as soon as it cannot be chosen any more, unless its folder is among the `needed`.
    """
    full = fine_tuned(context, cell.train, context.present)
    found: list[Outcome] = []
    tests_choose = context.settings.rules.reported_split
    for scores in arm_orders(context, cell, full):
        kept = [outcome.chosen.folder for outcome in found]
        one = _searched(context, cell, full, scores, needed=[*needed, *kept])
        found.append(_with_tests(context, one) if tests_choose else one)
    best = max(found, key=lambda one: (_merit(context, one), one.table.chosen))
    others = tuple(one for one in found if one is not best)
    kept_one = best if tests_choose else _with_tests(context, best)
    forget_checkpoints(context, [fit for one in others for fit in one.folders], [full.folder, best.chosen.folder, *needed])
    return replace(kept_one, others=others)


def _merit(context: RunContext, outcome: Outcome) -> float:
    """The score by which one of several searches is kept, in points."""
    if context.settings.rules.reported_split:
        return pooled(context, {name: own.metrics[context.inputs.task.metric] for name, own in outcome.pruned.items()})
    return next(trial.score for trial in outcome.table.trials if trial.k == outcome.table.chosen)


def _searched(context: RunContext, cell: Cell, full: FineTuned, scores: HeadScores, *, needed: Collection[Path]) -> Outcome:
    """The search for k along one order of heads; its tests are left to `_with_tests`."""
    spec, train, present = context.settings.search, cell.train, context.present
    asked = masks_for(
        rank(scores),
        range(spec.max_pruned + 1),
        context.shape,
        min_per_layer=spec.min_per_layer,
        gone=present.pruned,
        group=present.group,
    )
    masks = {present.n_kept - mask.n_kept: mask for mask in asked}  # fewer than were asked for where heads go together
    fits: dict[int, FineTuned] = {0: full}
    trials = {0: Trial(0, points(context, full.dev))}
    screenings: list[float] = []
    nested = nested_fit(context, train, masks) if spec.how == "nested" else None

    def fit_at(k: int) -> None:
        fits[k] = fine_tuned(context, train, masks[k])
        if context.tests_every_k:
            tested(context, fits[k])
        trials[k] = Trial(k, points(context, fits[k].dev))
        # a trial that is not the best so far will not be the best later
        best, _ = choose(list(trials.values()), allowed_loss(spec.objective), include_zero=spec.include_zero)
        forget_checkpoints(context, [fit.folder for fit in fits.values()], [full.folder, fits[best].folder, *needed])

    def fine_tuned_score(k: int) -> float:
        fit_at(k)
        score = trials[k].score
        logger.info("%s: k = %d scores %.2f on dev (%.0f s)", context.named(cell.seed, cell.arm), k, score, fits[k].seconds)
        return score

    def screened() -> list[float]:
        found = screen(context, full, tuple(masks.values()))
        screenings.append(found.seconds)
        return found.dev

    table = search(
        fine_tuned_score if nested is None else nested.score_at,
        max_pruned=spec.max_pruned,
        possible=tuple(masks),
        how=spec.how,
        objective=spec.objective,
        screen=screened,
        standard_error=lambda: standard_error(context, full.dev),
        delta=spec.delta,
        include_zero=spec.include_zero,
        ahead=None if nested is not None else lambda ks: context.store.each(ks, fit_at),
    )
    if nested is not None:
        dev, k = nested.dev, table.chosen
        said = "%s: nested masks score %.2f on dev with k = 0, %.2f with the chosen k = %d (%.0f s)"
        logger.info(said, context.named(cell.seed, cell.arm), dev[0], dev[k], k, nested.fit.seconds)
        if k:
            fits[k] = pruned_from(context, nested, masks[k], k)
    return Outcome(
        cell=cell,
        scores=scores,
        table=table,
        full=full,
        masks=masks,
        fits=fits,
        nested=None if nested is None else nested.fit,
        screening_seconds=sum(screenings) if nested is None else nested.seconds,
        dev=nested.dev_by_name if nested is not None else {k: points_by_name(context, fit.dev) for k, fit in fits.items()},
    )


def _with_tests(context: RunContext, outcome: Outcome) -> Outcome:
    """A search's outcome with the test figures of what it chose, or of every k."""
    nested, chosen, names = outcome.nested, outcome.table.chosen, context.inputs.tests
    every = nested is None and context.tests_every_k
    tests = {k: tested(context, fit) for k, fit in outcome.fits.items() if every or k == chosen}
    if context.settings.rules.reported_split:
        reported = {name: _best_on(context, tests, name) for name in names}
    else:
        reported = dict.fromkeys(names, chosen)
    return replace(
        outcome,
        reported=reported,
        unpruned=tested(context, outcome.full),
        tests=tests,
        nested_unpruned=tested(context, nested) if nested is not None and outcome.cell.arm == RANKED else None,
        masked_tests=masked_tests(context, nested, outcome.masks) if nested is not None and context.test_every_k else {},
    )


def arm_orders(context: RunContext, cell: Cell, full: FineTuned) -> list[HeadScores]:
    """The scores that decide pruning order in this arm: normalised, negated (`highest`), random, or layers from the top.

    One, or with `combine = "each"` one for every source that heads are ranked on.
    """
    if cell.arm == "random":
        n = len(context.inputs.ranking) if context.settings.combine == "each" else 1
        seeds = [cell.seed, *(int(seed) for seed in np.random.SeedSequence(cell.seed).generate_state(n - 1))]
        return [random_scores(context.present, seed=seed) for seed in seeds]
    if cell.arm == "depth":
        return [depth_scores(context.present)]
    settings = context.settings
    parts = [_source_scores(context, cell, full, name) for name in context.inputs.ranking]
    if len(parts) > 1 and settings.combine == "summed":
        return [_arm_scores(cell, combine(parts, "summed", normalisation=settings.scaling)[0], "none")]
    if len(parts) > 1 and settings.combine == "merged":
        parts = list(combine(parts, "merged" if parts[0].total is not None else "summed"))
    return [_arm_scores(cell, scores, settings.normalisation) for scores in parts]


def _arm_scores(cell: Cell, scores: HeadScores, normalisation: Normalisation) -> HeadScores:
    values = normalise(scores.values, normalisation)
    facts = (
        {"normalisation": normalisation, **scores.settings}
        if normalisation == "none"
        else {**scores.settings, "normalisation": normalisation}
    )
    if cell.arm == "highest":
        values, facts = -values, {**facts, "order": "highest first"}
    if values is not scores.values:  # the intervals are of the raw values
        scores = replace(scores, low=None, high=None)
    return replace(scores, values=values, settings=facts)


def _source_scores(context: RunContext, cell: Cell, full: FineTuned, name: str) -> HeadScores:
    """Scores on the dev set of one source."""
    settings, data = context.settings, context.inputs.ranking[name]
    options = {"n_lowest": max(1, settings.search.max_pruned)} if method(settings.method).takes("n_lowest") else {}
    what = {
        "stage": version("scoring"),
        "method": settings.method,
        "seed": cell.seed,
        "precision": context.precision,
        "split": "dev",
        "data": context.inputs.dev_keys[name],
        "options": options,
    }
    path = full.folder / f"scores-{fingerprint(what)}.json"
    if not path.is_file():
        with context.store.working(full.folder.name):
            resume_file = path.with_suffix(".partial")
            scores = score_heads(
                settings.method,
                load_fine_tuned(context, full),
                scoring_batches(data.encoded),
                seed=cell.seed,
                precision=context.precision,
                progress=context.progress,
                resume_file=resume_file,
                options=options,
            )
            facts = replace(
                scores,
                languages=(context.inputs.languages[name],),
                model=f"{settings.model}, fine-tuned (seed {cell.seed})",
                data_hash=context.inputs.sha256_of(name, "dev"),
            )
            context.store.check(full.folder.name)
            write_scores(path, facts)
            remember(full.folder, path.name)
            resume_file.unlink(missing_ok=True)
    return read_scores(path)


def _best_on(context: RunContext, tests: Mapping[int, Mapping[str, Figures]], name: str) -> int:
    scores = {k: by_target[name].metrics[context.inputs.task.metric] for k, by_target in tests.items() if k > 0}
    return max(scores, key=lambda k: (scores[k], k), default=0)
