"""The judgement of shrinking on dev: which plan no language loses too much by. What was judged is kept in a file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from polyhead.compression.plan_bisection import furthest
from polyhead.compression.plan_search import Round
from polyhead.core.neurons import Plan
from polyhead.core.progress import Progress
from polyhead.core.values import fingerprint
from polyhead.learning.inference import Evaluation, evaluate
from polyhead.learning.resumable import Partial, hash_of, kept_at
from polyhead.studies.distillation import Distilled, Lines, hash_of_lines
from polyhead.studies.shrink_state import Verdict, kept_files, verdicts_of, verdicts_state
from polyhead.studies.shrink_steps import finished, wanted
from polyhead.studies.shrink_trained import trained_plans
from polyhead.studies.shrink_work import ShrinkWork
from polyhead.studies.shrunk import Losses, losses_of
from polyhead.studies.tagger import Tagger


@dataclass(frozen=True, eq=False)
class Judged:
    """A plan that was judged on dev.

    Attributes:
        plan: What is kept.
        tagger: The finished model.
        losses: What each language loses.
        missed: What gives way; empty if nothing does.
        distilled: Facts of the distillation; None without one.
    """

    plan: Plan
    tagger: Tagger
    losses: Losses
    missed: str
    distilled: Distilled | None


def verdicts_file(work: ShrinkWork, resume_file: Path | None, lines: Lines) -> Partial:
    """Where the verdicts of finished plans are kept, beside the rounds. Other work replaces them.

    Args:
        work: What the search started from.
        resume_file: Of the rounds; None keeps nothing.
        lines: Text to distil on; may be empty.
    """
    if resume_file is None:
        return Partial(None)
    given, own = work.given.model, work.tagger.model
    facts = {
        "work": "verdicts of shrink",
        "settings": {name: value for name, value in asdict(work.spec).items() if name != "max_loss"},
        "given": "" if given is own else hash_of(given.state_dict().items())[:16],
        "judged": {
            language: fingerprint([[one.words, one.labels, one.texts] for one in data]) for language, data in work.judged.items()
        },
        "names": dict(work.names),
        "text": hash_of_lines(lines),
        "precision": work.tagger.precision,
    }
    batches = [batch for own in work.scored.values() for batch in own]
    return kept_at(kept_files(resume_file).verdicts, own, batches, facts, replaceable=True)


def judged(
    work: ShrinkWork,
    rounds: Sequence[Round],
    progress: Progress | None,
    *,
    distilled: Callable[[Tagger], Distilled] | None = None,
    partial: Partial | None = None,
) -> Judged:
    """The plan asked for if no language loses too much; else the smallest one on the way to it that does not.

    Costs the repair of every plan that is judged, its distillation, and predictions of the half that judges.

    Args:
        work: What the search started from.
        rounds: Those of the search.
        progress: Updated as the work advances.
        distilled: Distils the finished model of the plan asked for, in place. A plan that takes its place is not distilled.
        partial: From `verdicts_file`: plans that were judged before are not judged again, and only the one chosen is made.

    Raises:
        StoreError: The file cannot be written.
    """
    known: dict[Plan, Tagger] = {}
    facts: list[Distilled] = []
    spec, asked = work.spec, rounds[-1].plan if rounds else work.start
    kept = Partial(None) if partial is None else partial

    def is_taught(plan: Plan) -> bool:
        return distilled is not None and plan == asked

    earlier = verdicts_of(kept.load(), group=work.start.heads.group)
    lost = {own.plan: own.losses for own in earlier if own.taught == is_taught(own.plan)}

    @cache
    def before() -> Mapping[str, Evaluation]:
        return work.given.evaluate(dict(work.judged), progress=progress)

    def made(plan: Plan) -> Tagger:
        if plan not in known:
            for other in [own for own in known if not (facts and own == asked)]:
                del known[other]  # at most two models at a time
            known[plan] = finished(work, plan, progress)
            if distilled is not None and is_taught(plan):
                facts.append(distilled(known[plan]))
        return known[plan]

    def losses(plan: Plan) -> Losses:
        if plan not in lost:
            small = made(plan)
            after = evaluate(small.model, work.dev, small.task, small.labels, precision=small.precision, progress=progress)
            lost[plan] = losses_of(before(), after, work.names, small.task)
            if kept.path is not None:
                kept.save(verdicts_state([Verdict(own, is_taught(own), losses) for own, losses in lost.items()]))
        return lost[plan]

    def is_within(plan: Plan) -> bool:
        return all(own.lost <= spec.max_loss + 1e-9 for own in losses(plan))

    chosen, missed = asked, ""
    if not is_within(asked):
        halvings = 3 if trained_plans(work) is None else 0
        found = furthest(work.start, work.goals, rounds, is_within, spread=spec.row.spread, parts=spec.parts, halvings=halvings)
        chosen, missed = asked if found is None else found, _gives_way(work, asked, found, losses)
    return Judged(chosen, made(chosen), losses(chosen), missed, facts[0] if facts and chosen == asked else None)


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
