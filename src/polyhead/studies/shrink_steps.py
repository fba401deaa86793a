"""The steps of shrinking: the search, a correction by measured time, the finished model, and the judgement on dev."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from polyhead.compression.latency import time_models
from polyhead.compression.plan_repair import pruned_to
from polyhead.compression.plan_search import Importance, Round, Scorer, combined, furthest, least_cost, search_plan
from polyhead.core.neurons import Plan
from polyhead.core.progress import Progress
from polyhead.core.values import decimal_number
from polyhead.importance.neurons import score_plan
from polyhead.learning.inference import evaluate
from polyhead.learning.resumable import kept_at, saving
from polyhead.models.pruning import prune
from polyhead.studies.shrink_spec import ShrinkSpec
from polyhead.studies.shrink_state import rounds_of, rounds_state
from polyhead.studies.shrink_work import ShrinkWork
from polyhead.studies.shrunk import LanguageLoss, losses_of
from polyhead.studies.tagger import Tagger

Losses = tuple[LanguageLoss, ...]

TOO_SLOW: Final = 1.05
"""Measured milliseconds over those asked for above which a plan is corrected."""
_CORRECTIONS = 2
_AFTER = ("max_loss", "repair")  # settings that no round depends on


def searched(work: ShrinkWork, file: Path | None, progress: Progress | None) -> tuple[Round, ...]:
    """The rounds towards all goals; finished ones are kept in the file.

    Raises:
        SettingError: No plan meets a goal.
        StoreError: The file belongs to other work, or cannot be written.
    """
    settings = {name: value for name, value in asdict(work.spec).items() if name not in _AFTER}
    facts = {"work": "shrink", "settings": settings}
    partial = kept_at(file, work.tagger.model, [batch for own in work.scored.values() for batch in own], facts)
    row = work.spec.row
    rounds: list[Round] = list(rounds_of(partial.load(), group=work.start.heads.group))
    with saving(partial, lambda: rounds_state(rounds)) as step:

        def ended(found: Sequence[Round]) -> None:
            rounds[:] = found
            step()

        return search_plan(
            work.start,
            work.goals,
            scorer(work, progress),
            spread=row.spread,
            rounds=row.rounds or work.spec.rounds,
            parts=work.spec.parts,
            done=tuple(rounds),
            ended=ended,
        )


def scorer(work: ShrinkWork, progress: Progress | None) -> Scorer:
    """Scores what a plan keeps, in a copy of the model that is pruned further with every plan."""
    row, model = work.spec.row, copy.deepcopy(work.tagger.model)

    def score(plan: Plan) -> Importance:
        prune(model, plan.heads, neurons=plan.neurons)
        found: dict[str, Importance] = {}
        for language, batches in work.scored.items():
            own = score_plan(row.method, model, batches, precision=work.tagger.precision, seed=work.spec.seed, progress=progress)
            found[language] = Importance(own.heads.values, own.neurons)
        return combined(found, row.protect or work.spec.protect)

    return score


def corrected(work: ShrinkWork, rounds: tuple[Round, ...], progress: Progress | None) -> tuple[Round, ...]:
    """The rounds towards a speed, and one or two more where their last plan is measured to be too slow.

    The budget falls by the factor that the plan is too slow, as far as plans go.
    """
    goal, spec, found = work.goals[0], work.spec, rounds
    for _ in range(_CORRECTIONS):
        plan = found[-1].plan if found else work.start
        before, after = compared_ms(work.given, _pruned(work, plan), spec)
        wanted = goal.budget if spec.speedup is None else before / spec.speedup
        if after <= TOO_SLOW * wanted:
            break
        budget = max(goal.costs.of(plan.counts) * wanted / after, least_cost(plan, goal.costs, spec.parts))
        fewer = replace(goal, budget=budget)
        score, spread = scorer(work, progress), spec.row.spread
        found = (*found, *search_plan(plan, [fewer], score, spread=spread, rounds=1, parts=spec.parts))
    return found


def _pruned(work: ShrinkWork, plan: Plan) -> Tagger:
    """The model pruned to a plan, without repair."""
    return replace(work.tagger, model=pruned_to(work.tagger.model, plan, [], how="none"))


def finished(work: ShrinkWork, plan: Plan, progress: Progress | None) -> Tagger:
    """The model pruned to a plan and repaired; a copy."""
    batches = [batch for own in work.scored.values() for batch in own]
    how = "none" if plan == work.start else work.spec.repair
    precision = work.tagger.precision
    small = pruned_to(work.tagger.model, plan, batches, how=how, precision=precision, progress=progress)
    return replace(work.tagger, model=small)


def judged(work: ShrinkWork, rounds: Sequence[Round], progress: Progress | None) -> tuple[Plan, Losses, str]:
    """The plan asked for if no language loses too much; else the smallest one on the way to it that does not.

    Returns:
        The plan, what each language loses, and what gives way, empty if nothing does.
    """
    known: dict[Plan, Losses] = {}
    spec, asked = work.spec, rounds[-1].plan if rounds else work.start

    def losses(plan: Plan) -> Losses:
        if plan not in known:
            small = finished(work, plan, progress)
            task, labels, precision = small.task, small.labels, small.precision
            after = evaluate(small.model, work.dev, task, labels, precision=precision, progress=progress)
            known[plan] = losses_of(work.before, after, work.names, task)
        return known[plan]

    def is_within(plan: Plan) -> bool:
        return all(own.lost <= spec.max_loss + 1e-9 for own in losses(plan))

    if is_within(asked):
        return asked, losses(asked), ""
    found = furthest(work.start, work.goals, rounds, is_within, spread=spec.row.spread, parts=spec.parts)
    chosen = asked if found is None else found
    return chosen, losses(chosen), _gives_way(work, asked, found, losses)


def _gives_way(work: ShrinkWork, asked: Plan, found: Plan | None, losses: Callable[[Plan], Losses]) -> str:
    """What gives way and by how much: the loss at what was asked for, and what can be had without it."""
    worst = max(losses(asked), key=lambda own: own.lost)
    said = f"{wanted(work.spec)}: {worst.language} loses {worst.lost:.2f} points, more than {work.spec.max_loss:g} allowed"
    if found is None:
        worst = max(losses(work.start), key=lambda own: own.lost)
        return f"{said}; the trimmed vocabulary alone loses {worst.lost:.2f} in {worst.language}, so the loss gives way"
    parts = []
    if work.times is not None and work.spec.times:
        now, then = work.times.of(work.start.counts), work.times.of(found.counts)
        parts.append(f"{now / then:.2f} times as fast ({then:.3g} ms)")
    if work.spec.size is not None:
        megabytes = work.sizes.of(found.counts) / 1e6
        parts.append(f"{megabytes:.{2 if megabytes < 10 else 1}f} MB")
    what = "speed and size" if len(parts) == 2 else "speed" if work.spec.times else "size"
    return f"{said}; within that the {what} gives way: {' and '.join(parts)}"


def wanted(spec: ShrinkSpec) -> str:
    """What was asked for, in words.

    >>> wanted(ShrinkSpec(speedup=2.0, size="60MB")), wanted(ShrinkSpec(size=0.35))
    ('2 times as fast and 60MB', '0.35 of the size')
    """
    parts = []
    if spec.speedup is not None:
        parts.append(f"{spec.speedup:g} times as fast")
    if spec.latency is not None:
        parts.append(str(spec.latency))
    if spec.size is not None:
        is_share = decimal_number(str(spec.size)) is not None
        parts.append(f"{spec.size} of the size" if is_share else str(spec.size))
    return " and ".join(parts)


def compared_ms(given: Tagger, small: Tagger, spec: ShrinkSpec) -> tuple[float, float]:
    """Milliseconds of a forward pass of both models, which run in turn.

    Raises:
        SettingError: The batch does not fit, or is longer than the model reads.
    """
    models = [given.model, small.model]
    before, after = time_models(models, batch=spec.batch, length=spec.length, precision=given.precision)
    return before, after
