"""`shrink`: a tagger made as fast or as small as asked, at the least loss in its languages."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from polyhead.compression.checkpoint_size import checkpoint_bytes
from polyhead.compression.latency import cached_latency
from polyhead.compression.latency_models import check_fits, free_bytes
from polyhead.compression.latency_table import LatencyTable
from polyhead.compression.plan_search import Protect
from polyhead.compression.repair import Repair
from polyhead.core.arguments import PATH, require
from polyhead.core.progress import Progress
from polyhead.data.sentences import Dataset
from polyhead.studies.distillation import distil_tagger, lines_with_words
from polyhead.studies.shrink_judging import judged, verdicts_file
from polyhead.studies.shrink_spec import ShrinkSpec
from polyhead.studies.shrink_steps import check_repair, compared_ms, corrected, missed_speed, searched
from polyhead.studies.shrink_trained import trained_plans
from polyhead.studies.shrink_work import (
    Texts,
    by_language,
    check_table,
    check_tagger,
    check_texts,
    check_vocabulary,
    prepared,
    timed,
)
from polyhead.studies.shrunk import Change, Shrunk
from polyhead.studies.tagger import Tagger


def shrink(
    model: Tagger | str | Path,
    dev: Dataset | Sequence[Dataset],
    *,
    speedup: float | None = None,
    latency: str | float | None = None,
    size: str | float | None = None,
    max_loss: float = 1.0,
    texts: Texts | None = None,
    batch: int = 32,
    length: int = 128,
    keep: Sequence[Literal["heads", "neurons", "vocabulary"]] = (),
    protect: Protect = "worst",
    repair: Repair | Literal["none"] = "refit",
    distil: float = 0.0,
    seed: int = 42,
    table: LatencyTable | None = None,
    resume_file: str | Path | None = None,
    progress: Progress | None = None,
) -> Shrunk:
    """A smaller tagger: as fast or as small as asked, with what loses least of heads, feed-forward neurons and subwords.

    Each dev set is split in two by seed. Heads and neurons are scored and repaired on the one half; the losses, and `max_loss`,
    are those on the other half, which nothing was fitted to.

    Trims the vocabulary to the texts first, if there are any. Then heads and neurons are scored (Fisher information of their
    gates), the least important within a falling budget of milliseconds or bytes are chosen by dynamic programming over
    layers and pruned, and the rest is scored again; a layer may lose its attention, its feed-forward block or both. The result is
    repaired without training and judged. If a language loses more than `max_loss` points, the result is the smallest model
    found on the way that loses no more, and `Shrunk.missed` says what gave way. Nothing is fine-tuned, unless `distil` asks for
    it, and nothing is written.

    A tagger that was fine-tuned under plans (`elastic_plans`, `fit --elastic`) takes the largest of them that is fast or small
    enough, without a search and without repair.

    Costs a latency table of the model (kept for this machine), eight gradient passes over at most 256 dev sentences per language,
    the passes of the repair, and two or more predictions of the other half. Memory: three models.

    Args:
        model: A fine-tuned tagger, its folder or hub id; a model already shrunk is shrunk further.
        dev: Labelled text, one data set of at least two sentences for each language that matters; no test split.
        speedup: Times as fast as the given model, on a batch of this size.
        latency: Instead, the time of a forward pass: `20ms`, or milliseconds.
        size: Weights and tokenizer: `60MB`, or a share of the given model's below 1. int8 comes later, in `export`.
        max_loss: Points that any language may lose on the half that is judged.
        texts: Text of every language to trim the vocabulary by; needed for a size unless the vocabulary is kept.
        batch: Sentences of the forward pass that is timed.
        length: Its subwords per sentence.
        keep: What is left alone: heads, neurons, vocabulary.
        protect: `worst` keeps what matters most in any language, `mean` what matters in their mean.
        repair: `refit` fits the kept heads and neurons by least squares, `means` adds the mean of the pruned heads, `none` does
            neither.
        distil: Processor minutes of learning from the given model on `texts`, after the repair.
        seed: Of the halves and the samples.
        table: Latency table of this model, instead of measuring one.
        resume_file: Finished rounds, which a second call continues; verdicts and a distillation are kept beside it. All of it
            stays, and a second call with another `max_loss` alone judges no plan again.
        progress: Updated as the work advances.

    Raises:
        SettingError: No plan is as fast or as small; dev text is a test split, or one sentence; nothing, or both a speed-up and a
            latency, is asked for; a language has no text; the tokenizer is not a fast one; the task is masked text; or the
            batch does not fit.
        ArchitectureError: The family has no row, it does not say where the neurons are, or a repair needs a bias.
        StoreError: `resume_file` belongs to other work.

    Sources: Kurtic et al. 2023, "ZipLM" (budgets of measured time); Kwon et al. 2022 (Fisher information, no training).

    >>> import polyhead as ph
    >>> tagger = ph.Tagger.load("polyhead/tiny", task="pos", seed=42)
    >>> dev = [ph.sample(ph.open_corpus(f"phrases/{code}", "dev"), 16, seed=1) for code in ("en", "de")]
    >>> found = shrink(tagger, dev, size=0.8, keep=["vocabulary"], max_loss=100, batch=1, length=8)
    >>> found.met, found.megabytes.after < 0.8 * found.megabytes.before
    (True, True)
    """
    require(model=(model, Tagger | PATH), dev=(dev, Dataset | Sequence))
    sets = [dev] if isinstance(dev, Dataset) else list(dev)
    for number, one in enumerate(sets):
        require(**{f"dev[{number}]": (one, Dataset)})
    spec = ShrinkSpec(
        speedup=speedup,
        latency=latency,
        size=size,
        max_loss=max_loss,
        batch=batch,
        length=length,
        keep=tuple(keep),
        protect=protect,
        repair=repair,
        distil=float(distil),
        seed=seed,
    )
    tagger = model if isinstance(model, Tagger) else Tagger.load(model)
    file = None if resume_file is None else Path(resume_file)
    return shrunk(tagger, sets, spec, texts=texts or {}, table=table, resume_file=file, progress=progress)


def shrunk(
    tagger: Tagger,
    dev: Sequence[Dataset],
    spec: ShrinkSpec,
    *,
    languages: Sequence[str] = (),
    texts: Texts,
    table: LatencyTable | None = None,
    measure: bool = True,
    resume_file: Path | None = None,
    progress: Progress | None = None,
) -> Shrunk:
    """As `shrink`, with the settings in one object.

    Args:
        tagger: Not changed.
        dev: One for each language.
        spec: What is asked for, and how.
        languages: Those that matter; all of `dev` if empty.
        texts: As in `shrink`; may be empty.
        table: As in `shrink`.
        measure: Whether to time the given and the finished model, and to distil. Unless `table` is given, a plan measured to be
            too slow is corrected, and one that stays more than 5 % too slow misses the speed.
        resume_file: As in `shrink`.
        progress: Updated as the work advances.
    """
    sets = by_language(dev, languages)
    start = check_tagger(tagger)
    # whatever can be refused is refused before minutes of measuring, and what reads no text comes first
    if check_texts(texts, sets, spec):
        check_vocabulary(tagger, spec)
    check_fits(tagger.model, batch=spec.batch, length=spec.length, free=free_bytes(tagger.model.device))
    if tagger.plans is None:
        check_repair(tagger, start, next(iter(sets.values())), spec)
    given_table = table is not None
    if table is not None:
        check_table(table, start, spec)
    held = lines_with_words(texts) if spec.distil else {}
    work = prepared(tagger, sets, spec, start=start, texts=held or texts, progress=progress)
    if spec.times and table is None:
        table = cached_latency(tagger.model, batch=spec.batch, length=spec.length, precision=tagger.precision, progress=progress)
    if table is not None:
        work = timed(work, table)
    rounds = searched(work, resume_file, progress)
    if measure and spec.times and not given_table:
        rounds = corrected(work, rounds, progress, resume_file)
    teach = partial(distil_tagger, teacher=work.tagger, lines=held, minutes=spec.distil, seed=spec.seed)
    taught = partial(teach, resume_file=resume_file, progress=progress) if spec.distil and measure else None
    best = judged(work, rounds, progress, distilled=taught, partial=verdicts_file(work, resume_file, held))
    plan, small, missed = best.plan, best.tagger, best.missed
    times = None
    if work.times is not None:
        times = Change(work.times.of(start.counts), predicted=work.times.of(plan.counts))
    if measure:
        before, after = compared_ms(tagger, small, spec)
        if spec.times and not given_table and not missed:
            missed = missed_speed(work, before, after)
        times = Change(before, after, None if times is None else times.predicted)
    return Shrunk(
        tagger=small,
        plan=plan,
        before=start,
        losses=best.losses,
        milliseconds=times,
        megabytes=Change(
            work.bytes_before / 1e6,
            checkpoint_bytes(small.model, small.tokenizer) / 1e6,
            work.sizes.of(plan.counts) / 1e6,
        ),
        subwords=Change(len(tagger.tokenizer), len(small.tokenizer)),
        met=not missed,
        missed=missed,
        trained=trained_plans(work) is not None,
        distilled=best.distilled,
    )
