"""What a search for a smaller model starts from: the model with a trimmed vocabulary, its data, its costs and its goals."""

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from polyhead.compression.checkpoint_size import checkpoint_bytes, size_costs
from polyhead.compression.embedding_rows import config_ids
from polyhead.compression.latency_table import LatencyTable
from polyhead.compression.plan_choice import OutOfReachError, least_cost
from polyhead.compression.plan_costs import PlanCosts, time_costs
from polyhead.compression.plan_search import Goal
from polyhead.compression.subword_choice import Limits, NothingToTrimError
from polyhead.compression.vocabulary import check_trimmable, trim_model, trim_tokenizer
from polyhead.core.errors import PolyheadError, SettingError
from polyhead.core.neurons import Plan
from polyhead.core.progress import Progress
from polyhead.core.values import counted
from polyhead.data.plain_text import Line
from polyhead.data.sampling import halves, sample
from polyhead.data.sentences import Dataset
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.inference import Labelled
from polyhead.models.model_heads import head_mask
from polyhead.models.model_neurons import neuron_mask
from polyhead.models.named_masks import head_masks
from polyhead.studies.shrink_spec import ShrinkSpec, milliseconds, wanted_bytes
from polyhead.studies.tagger import Tagger

Texts = Mapping[str, Iterable[Line]]


@dataclass(frozen=True, eq=False)
class ShrinkWork:
    """What a search starts from.

    Attributes:
        given: The tagger to make smaller; not changed.
        tagger: The same with a trimmed vocabulary, or `given` itself.
        start: What it keeps now.
        spec: What is asked for.
        names: Corpus or file of each language.
        judged: The half of the dev text that plans are judged on, by language.
        dev: The same as `tagger` reads it.
        scored: Batches of the other half, on which heads and neurons are scored and repaired, by language.
        times: Milliseconds by heads and neurons; None without a latency table.
        sizes: Bytes by heads and neurons.
        bytes_before: Bytes of `given`, weights and tokenizer.
    """

    given: Tagger
    tagger: Tagger
    start: Plan
    spec: ShrinkSpec
    names: Mapping[str, str]
    judged: Mapping[str, Dataset]
    dev: Mapping[str, Labelled]
    scored: Mapping[str, Sequence[Batch]]
    times: PlanCosts | None
    sizes: PlanCosts
    bytes_before: int

    @property
    def goals(self) -> list[Goal]:
        """The speed first, then the size."""
        return [
            *([speed_goal(self.times, self.start, self.spec)] if self.times is not None and self.spec.times else []),
            *([size_goal(self.sizes, self.bytes_before, self.spec.size)] if self.spec.size is not None else []),
        ]


def speed_goal(times: PlanCosts, start: Plan, spec: ShrinkSpec) -> Goal:
    """The milliseconds asked for."""
    now = times.of(start.counts)
    return Goal(
        "speed", times, now / spec.speedup if spec.latency is None and spec.speedup else milliseconds(spec.latency or now)
    )


def size_goal(sizes: PlanCosts, before: int, size: str | float) -> Goal:
    """The bytes asked for."""
    return Goal("size", sizes, wanted_bytes(size, before))


def check_speed(times: PlanCosts, start: Plan, spec: ShrinkSpec) -> None:
    """Return if some plan is as fast as asked.

    Raises:
        OutOfReachError: None is; the message says how fast the smallest is.
    """
    goal = speed_goal(times, start, spec)
    now, least = times.of(start.counts), least_cost(start, times, spec.parts)
    if goal.budget >= least:
        return
    what = " and ".join(spec.parts)
    if spec.speedup is not None:
        said = f"speedup = {spec.speedup:g}: without all its {what} the model is {now / least:.3g} times as fast"
    else:
        said = f"latency = {spec.latency}: without all its {what} the model takes {least:.3g} ms"
    raise OutOfReachError(f"{said} (batch {spec.batch}, length {spec.length}); ask for less")


def check_size(goal: Goal, start: Plan, spec: ShrinkSpec) -> None:
    """Return if some plan is as small as asked.

    Raises:
        OutOfReachError: None is; the message says how small the smallest is.
    """
    if (least := least_cost(start, goal.costs, spec.parts)) <= goal.budget:
        return
    what = f"without all its {' and '.join(spec.parts)}" if spec.parts else "with all its heads and neurons"
    step = ", or give text to trim its vocabulary" if "vocabulary" in spec.keep else ""
    raise OutOfReachError(f"size = {spec.size}: {what} the model has {least / 1e6:.2f} MB; ask for more{step}")


def check_table(table: LatencyTable, start: Plan, spec: ShrinkSpec) -> None:
    """Return if a latency table is of such a model and batch.

    Raises:
        SettingError: It is of another.
    """
    table.require(batch=spec.batch, length=spec.length)
    own = (start.heads.n_layers, start.heads.n_heads, start.neurons.n_neurons)
    if (found := (table.n_layers, table.n_heads, table.n_neurons)) != own:
        shapes = (f"{layers} layers of {heads} heads and {neurons} neurons" for layers, heads, neurons in (found, own))
        raise SettingError("the latency table is of a model of {}; this one has {}".format(*shapes))


def check_tagger(tagger: Tagger) -> Plan:
    """What the tagger keeps now, if it can be made smaller.

    Raises:
        SettingError: Its task has no labels of its own, or it has masks by name.
        ArchitectureError: The family has no row, or it does not say where the neurons are.
    """
    if tagger.task.kind == "masked":
        wrong = "its output head is tied to the vocabulary, and no language has a score of its own"
        raise SettingError(f"{tagger.name}: task {tagger.task.name}: {wrong}; shrink a fine-tuned tagger")
    if masks := head_masks(tagger.model):
        step = "prune it to one of them first: polyhead prune MODEL --mask FILE"
        raise SettingError(f"{tagger.name}: has masks for {', '.join(masks)}, and a smaller model has one plan; {step}")
    return Plan(head_mask(tagger.model), neuron_mask(tagger.model))


def by_language(dev: Sequence[Dataset], languages: Sequence[str] = ()) -> dict[str, Dataset]:
    """The dev sets by language.

    Args:
        dev: One for each language.
        languages: Those that matter; all of `dev` if empty.

    Raises:
        SettingError: There is none, one is a test split or has fewer than two sentences, or two are of one language; or a
            language has none, or is not named.
    """
    if not dev:
        raise SettingError("no dev text: give labelled text of every language, such as de=dev.conllu or ud/de_gsd")
    found: dict[str, Dataset] = {}
    for own in dev:
        if own.split == "test":
            raise SettingError(f"{own.name}: is a test split, and plans are chosen on dev; keep it for the smaller model")
        if (n := len(own.sentences)) < 2:
            raise SettingError(f"{own.name}: {counted(n, 'sentence')}; plans are chosen on one half and judged on the other")
        if own.language in found:
            raise SettingError(f"{own.name}: {found[own.language].name} is of {own.language} too; give one for each language")
        found[own.language] = own
    if missing := [language for language in languages if language not in found]:
        step = f"give {' '.join(f'{language}=FILE' for language in missing)}, or leave it out; dev text is in {', '.join(found)}"
        raise SettingError(f"--languages: no labelled dev text of {', '.join(missing)}; {step}")
    if languages and (other := [language for language in found if language not in languages]):
        raise SettingError(f"{found[other[0]].name}: dev text of {other[0]}, which --languages does not name; add or remove it")
    return found


def dev_halves(own: Dataset, *, seed: int) -> tuple[Dataset, Dataset]:
    """Two seeded halves of dev text: plans are scored and repaired on the first, and what they lose is judged on the second.

    Raises:
        SettingError: Fewer than two sentences.
    """
    chosen, judged = (
        replace(own, sentences=tuple(own.sentences[place] for place in places))
        for places in halves(len(own.sentences), seed=seed)
    )
    return chosen, judged


def check_texts(texts: Texts, languages: Collection[str], spec: ShrinkSpec) -> bool:
    """Whether the vocabulary is to be trimmed.

    Raises:
        SettingError: A size or a distillation is asked for, or there is text, but not of every language; or text that is not to
            be used.
    """
    if missing := [language for language in languages if spec.distil and language not in texts]:
        step = f"give --text {missing[0]}=FILE or --corpus NAME; --keep vocabulary trims nothing by it"
        raise SettingError(f"distil = {spec.distil:g}: no text of {missing[0]} to learn from; {step}")
    if "vocabulary" in spec.keep:
        if texts and not spec.distil:
            raise SettingError("keep = vocabulary: leaves all subwords, so text to trim by is not used; leave one of the two out")
        return False
    if not texts and spec.size is None:
        return False
    if missing := [language for language in languages if language not in texts]:
        what = "its subwords would be lost" if texts else "a size needs it to trim the vocabulary"
        files = " ".join(f"{language}=FILE" for language in missing)
        raise SettingError(
            f"no text of {', '.join(missing)}, and {what}; give --text {files} or --corpus NAME, or --keep vocabulary"
        )
    return True


def check_vocabulary(tagger: Tagger, spec: ShrinkSpec) -> None:
    """Return if the vocabulary can be trimmed, without reading a text.

    Raises:
        SettingError: It cannot; the message says how to shrink the tagger all the same.
    """
    try:
        check_trimmable(tagger.model, tagger.tokenizer)
    except PolyheadError as error:
        step = "--keep vocabulary" if spec.distil else "--keep vocabulary, without --text and --corpus"
        raise SettingError(f"{tagger.name}: {error}; to shrink it with all its subwords, give {step}") from error


def trimmed(tagger: Tagger, texts: Texts, spec: ShrinkSpec, progress: Progress | None) -> Tagger:
    """The tagger with the subwords that the texts need, its model a copy; the tagger itself if they need all of them.

    Raises:
        SettingError: The tokenizer is not a fast one, or of another type; or a language has no word.
        ArchitectureError: The weights are not in memory.
    """
    try:
        smaller = trim_tokenizer(
            tagger.tokenizer,
            texts,
            Limits(coverage=spec.coverage),
            needed=config_ids(tagger.model.config),
            progress=progress,
        )
    except NothingToTrimError:
        return tagger
    found = trim_model(copy.deepcopy(tagger.model), smaller)
    return replace(tagger, model=found.model, tokenizer=found.tokenizer)


def prepared(
    given: Tagger, dev: Mapping[str, Dataset], spec: ShrinkSpec, *, start: Plan, texts: Texts, progress: Progress | None
) -> ShrinkWork:
    """Everything that a search for a size needs; `timed` adds what one for a speed needs.

    Raises:
        OutOfReachError: No plan is as small as asked.
        SettingError: The texts do not serve.
    """
    before_bytes = checkpoint_bytes(given.model, given.tokenizer)
    tagger = trimmed(given, texts, spec, progress) if check_texts(texts, dev, spec) else given
    total = before_bytes if tagger is given else checkpoint_bytes(tagger.model, tagger.tokenizer)
    sizes = size_costs(tagger.model, start, total=total)
    if spec.size is not None:
        check_size(size_goal(sizes, before_bytes, spec.size), start, spec)
    parts = {language: dev_halves(own, seed=spec.seed) for language, own in dev.items()}
    judged = {language: own for language, (_, own) in parts.items()}
    samples = {language: sample(own, spec.scored, seed=spec.seed) for language, (own, _) in parts.items()}
    return ShrinkWork(
        given=given,
        tagger=tagger,
        start=start,
        spec=spec,
        names={language: own.name for language, own in dev.items()},
        judged=judged,
        dev={language: tagger.labelled(own) for language, own in judged.items()},
        scored={language: scoring_batches(tagger.encode(own)) for language, own in samples.items()},
        times=None,
        sizes=sizes,
        bytes_before=before_bytes,
    )


def timed(work: ShrinkWork, table: LatencyTable) -> ShrinkWork:
    """The same with milliseconds.

    Raises:
        OutOfReachError: No plan is as fast as asked.
        SettingError: The table is of another model or batch.
    """
    check_table(table, work.start, work.spec)
    times = time_costs(table)
    if work.spec.times:
        check_speed(times, work.start, work.spec)
    return replace(work, times=times)
