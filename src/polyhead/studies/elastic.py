"""One fine-tuning for every size: the nested plans that a model is trained under, found by scoring an ordinary fine-tuning."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from polyhead.compression.latency import cached_latency
from polyhead.compression.latency_table import LatencyTable
from polyhead.compression.plan_costs import time_costs
from polyhead.compression.plan_search import RULES, Round
from polyhead.core.arguments import PATH, require
from polyhead.core.errors import SettingError
from polyhead.core.neurons import Plan
from polyhead.core.progress import Progress
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.resumable import kept_at
from polyhead.models.trained_plans import TrainedPlans
from polyhead.studies.elastic_spec import ElasticSpec
from polyhead.studies.plan_rounds import kept_rounds, plan_scorer
from polyhead.studies.shrink_spec import ShrinkSpec
from polyhead.studies.shrink_work import check_speed, check_table, check_tagger, speed_goal
from polyhead.studies.tagger import Tagger

_RULE = RULES["joint"]


def elastic_plans(
    tagger: Tagger,
    dev: Dataset | Sequence[Dataset],
    spec: ElasticSpec | None = None,
    *,
    table: LatencyTable | None = None,
    seed: int = 42,
    resume_file: str | Path | None = None,
    progress: Progress | None = None,
) -> TrainedPlans:
    """Nested plans from the whole model to one as fast as asked, for `Tagger.fit(nested=...)` of a new model.

    The plans are those of `shrink`: heads and neurons are scored (Fisher information of their gates), the least important within
    a budget of measured milliseconds are dropped, and the rest is scored again. Each of eight sets of scores gives four plans, so
    that neighbouring plans differ by a few percent of the time. Layers may lose their heads, their neurons or both.

    Costs a latency table (kept for this machine) and eight gradient passes over at most 256 sentences of each data set. Measured
    times decide the plans, so another machine may choose others.

    Args:
        tagger: An ordinary fine-tuning on the same data; not changed.
        dev: Labelled text; languages are scored one by one, and what matters most in any of them stays.
        spec: Which sizes.
        table: Latency table of such a model, instead of measuring one.
        seed: Of the samples.
        resume_file: Finished rounds, which a second call continues.
        progress: Updated as the work advances.

    Raises:
        SettingError: No plan is as fast, there is no dev text, or the batch does not fit.
        ArchitectureError: The family has no row, or it does not say where the neurons are.
        StoreError: `resume_file` belongs to other work.

    Sources: Cai et al. 2020, "Once-for-all"; Hou et al. 2020, "DynaBERT".

    >>> import polyhead as ph
    >>> from polyhead.compression.latency_table import LatencyTable
    >>> tagger = ph.Tagger.load("polyhead/tiny", task="pos", seed=42)
    >>> dev = ph.sample(ph.open_corpus("phrases/en", "dev"), 16, seed=1)
    >>> table = LatencyTable.given(
    ...     batch=1, length=16, n_layers=4, fixed=1.0, attention=((0, 0.0), (8, 1.0)), feed_forward=((0, 0.0), (512, 2.0))
    ... )
    >>> plans = elastic_plans(tagger, dev, ph.ElasticSpec(speedup=2.0, batch=1, length=16), table=table)
    >>> tagger.fit(dev, spec=ph.TrainSpec(epochs=1), nested=plans).steps
    1
    """
    require(tagger=(tagger, Tagger), dev=(dev, Dataset | Sequence), resume_file=(resume_file, PATH | None))
    spec = spec or ElasticSpec()
    sets = [dev] if isinstance(dev, Dataset) else list(dev)
    if not sets:
        raise SettingError("no dev text to score heads and neurons on: give a source with a dev split, as in en=TRAIN:DEV")
    start, scored = check_tagger(tagger), defaultdict[str, list[Batch]](list)
    for own in sets:
        require(dev=(own, Dataset))
        scored[own.language].extend(scoring_batches(tagger.encode(sample(own, spec.scored, seed=seed))))
    if table is None:
        table = elastic_table(tagger, spec, progress=progress)
    check_table(table, start, _asked(spec))
    times = time_costs(table)
    check_speed(times, start, _asked(spec))
    chosen = {name: value for name, value in asdict(spec).items() if name != "taught"}
    facts = {"work": "elastic plans", "spec": chosen, "seed": seed}
    file = None if resume_file is None else Path(resume_file)
    rounds = kept_rounds(
        start,
        [speed_goal(times, start, _asked(spec))],
        plan_scorer(
            tagger.model,
            scored,
            method=_RULE.method,
            protect="worst",
            precision=tagger.precision,
            seed=seed,
            progress=progress,
        ),
        partial=kept_at(file, tagger.model, [batch for own in scored.values() for batch in own], facts),
        rounds=spec.rounds * spec.per_round,
        rescore=spec.per_round,
    )
    return TrainedPlans.of(_distinct(start, rounds), batch=spec.batch, length=spec.length)


def elastic_table(tagger: Tagger, spec: ElasticSpec, *, progress: Progress | None = None) -> LatencyTable:
    """The latency table that decides the plans; the model may be untrained.

    Raises:
        SettingError: No plan is as fast, or the batch does not fit.
        ArchitectureError: As `elastic_plans`.
    """
    start = check_tagger(tagger)
    table = cached_latency(tagger.model, batch=spec.batch, length=spec.length, precision=tagger.precision, progress=progress)
    check_speed(time_costs(table), start, _asked(spec))
    return table


def _asked(spec: ElasticSpec) -> ShrinkSpec:
    """The search that finds the smallest plan."""
    return ShrinkSpec(speedup=spec.speedup, batch=spec.batch, length=spec.length)


def _distinct(start: Plan, rounds: Sequence[Round]) -> list[Plan]:
    found = [start]
    for one in rounds:
        if one.plan.counts != found[-1].counts:
            found.append(one.plan)
    return found
