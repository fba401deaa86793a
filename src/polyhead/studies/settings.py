"""What to run, not how: the settings of a run, and its protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, fields
from os import PathLike
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from polyhead.core.heads import Normalisation
from polyhead.core.settings_file import Many, Place, checked, settings
from polyhead.core.specs import Count, Flag, SearchSpec, Seed, TrainSpec
from polyhead.data.corpora import corpus
from polyhead.data.layouts import declared_layout
from polyhead.data.references import SAMPLE_SEED, DataReference, Role, one_word_choice, references
from polyhead.data.schemes import scheme as find_scheme
from polyhead.data.tasks import task as find_task
from polyhead.models.names import model_in
from polyhead.studies.protocols import PROTOCOLS, Protocol, ProtocolName, fixed_by

SelectOn = Literal["source-dev", "target-dev", "pooled", "agreement"]
RankOn = Literal["sources", "sources+target"]
Combine = Literal["merged", "summed", "each"]
UnseenLabels = Literal["error", "keep", "drop"]
Name = Annotated[str, Field(min_length=1)]
Tenths = Annotated[int, Field(strict=True, ge=1, le=9)]
PRESET: Final = frozenset(item.name for item in fields(Protocol))
"""Settings that the protocol fixes unless they are given."""


@settings
class FitSettings:
    """Everything that decides a fine-tuning.

    Raises:
        SettingError: Any value is not allowed; the one line names them all.
        UnknownNameError: No task or corpus has this name.
    """

    model: Annotated[
        Place, Field(description="Folder or hub id of the pre-trained encoder; polyhead/tiny comes with the package.")
    ]
    task: Annotated[Name, Field(description="pos, ner, slots, nli or classification.")]
    sources: Annotated[Many[Name], Field(min_length=1, description="One or more: ud/en_ewt, or en=TRAIN:DEV:TEST.")]
    data: Annotated[Place | None, Field(description="Folder of the corpora that are named like ud/en_ewt.")] = None
    train: TrainSpec = field(default_factory=TrainSpec)
    train_limit: Annotated[
        Count | None, Field(description="Train on N sentences of each source: the same sample (seed 42) for every --seed.")
    ] = None
    sample_seed: Seed = SAMPLE_SEED  # of that sample and of a held-out dev set; the same for every seed of a run
    scheme: Annotated[
        Name | None, Field(description="Tagging scheme of your span files: iob2, iob1, bioes, bilou, bmes, io or bare.")
    ] = None
    columns: Annotated[
        Name | None,
        Field(description="Layout of your files: tab:token=2,tag=3, tsv:text=a or jsonl; see docs/corpora.md."),
    ] = None
    strict: Annotated[Flag, Field(description="Fail on malformed input instead of repairing it.")] = False
    revision: Annotated[Name | None, Field(description="Branch, tag or commit of a hub model.")] = None
    folder: Place | None = None  # that relative paths of the model and of files start from; the current one if it is None

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        kind = find_task(self.task).kind
        if kind == "masked":
            raise ValueError(
                f"task = {self.task!r}: heads are scored with the pre-trained model as it is (rank, curve, prune); nothing is "
                "fine-tuned, so choose another task"
            )
        if self.columns is not None:
            declared_layout(self.columns, scheme=self.scheme, kind=kind)
        elif self.scheme is not None:
            find_scheme(self.scheme)
        _known_references(self.sources, "source", self.folder)
        return self

    @property
    def facts(self) -> dict[str, Any]:
        """Every setting by name but `folder`, which decides nothing."""
        return {name: value for name, value in asdict(self).items() if name != "folder"}  # type: ignore[call-overload]

    @property
    def encoder(self) -> str:
        """The model as loaders take it: its folder's path, else the name."""
        return model_in(self.model, self.folder)


@settings
class RunSettings(FitSettings):
    """Everything that decides a run's numbers except seeds and controls; made by `run_settings`.

    Raises:
        SettingError: Any value is not allowed, or two exclude each other.
        UnknownNameError: No task or corpus has this name.
    """

    targets: Annotated[
        Many[Name],
        Field(min_length=1, description="One or more: ud/de_gsd, ud/de_gsd@words, or de=TEST, de=DEV:TEST."),
    ]
    protocol: Annotated[ProtocolName, Field(description="sound; paper and paper-released are for comparison only.")] = "sound"
    method: Annotated[Name, Field(description="How heads are scored; see polyhead methods.")]
    normalisation: Annotated[Normalisation, Field(description="Scaling of the scores before ranking.")]
    search: SearchSpec = field(default_factory=SearchSpec)
    select_on: Annotated[
        SelectOn,
        Field(
            description="What chooses k: source-dev, pooled or target-dev (an oracle); agreement: target text without its labels "
            "(see the guide)."
        ),
    ] = "source-dev"
    rank_on: Annotated[
        RankOn,
        Field(description="Where a target is also a source: rank on the other sources alone, as the paper does, or on all."),
    ] = "sources+target"
    combine: Annotated[
        Combine,
        Field(
            description="Several sources: merged adds up their raw scores, summed those scaled as in the paper; each searches "
            "with every source's order and keeps the best."
        ),
    ] = "merged"
    target_tenths: Annotated[
        Tenths | None,
        Field(description="Where a target is also a source, train on the first N of ten seeded parts of its sentences."),
    ] = None
    unseen_labels: Annotated[
        UnseenLabels,
        Field(
            description="Span types, or labels of sentences, of a target that no source has: error refuses them, keep counts "
            "them as missed, drop reads them as O, or as no label."
        ),
    ] = "error"

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        sources = _known_references(self.sources, "source", self.folder)
        one_word_choice([*sources, *_known_references(self.targets, "target", self.folder)])
        if self.rules.mask_in_training_only and self.search.prune == "after":
            raise ValueError(f"search.prune = 'after': protocol {self.protocol!r} masks heads while training; use prune 'before'")
        if self.select_on == "agreement" and not (self.search.how == "nested" and self.search.objective.startswith("within:")):
            raise ValueError(
                "select_on = 'agreement': compares masks of one model with all its heads, which agree with themselves best; use "
                "search nested and objective within:X"
            )
        if self.search.how == "nested" and self.protocol != "sound":
            raise ValueError(f"search.how = 'nested': protocol {self.protocol!r} compares separate fine-tunings; use sweep")
        if self.rules.reported_split and self.search.max_pruned < 1:
            raise ValueError(f"search.max_pruned = 0: protocol {self.protocol!r} reports the best of k = 1..K; give 1 or more")
        both = [name for name in self.sources if name in self.targets]
        if self.target_tenths is not None and not both:
            raise ValueError(
                "target_tenths: limits the sentences of a target that is also a source; name the target among the sources"
            )
        if self.rank_on == "sources" and len(both) == len(self.sources):
            raise ValueError("rank_on = 'sources': every source is a target, so none is left to rank on; use sources+target")
        if self.combine == "each" and len(self.ranked_on) < 2:
            raise ValueError("combine = 'each': needs two or more sources to rank on")
        return self

    @property
    def ranked_on(self) -> tuple[str, ...]:
        """The sources whose dev sets heads are ranked on."""
        return tuple(name for name in self.sources if self.rank_on != "sources" or name not in self.targets)

    @property
    def scaling(self) -> Normalisation:
        """How each source's scores are scaled: as in the paper where those of several are summed, else as asked."""
        return "paper" if self.combine == "summed" and len(self.ranked_on) > 1 else self.normalisation

    @property
    def rules(self) -> Protocol:
        """The row of the protocols table."""
        return PROTOCOLS[self.protocol]


def _known_references(texts: Sequence[str], role: Role, folder: str | None) -> list[DataReference]:
    """The references of a run's sources or targets; opens nothing.

    Raises:
        SettingError: One is given twice or cannot be parsed.
        UnknownNameError: No corpus has this name.
    """
    found = references(texts, role, folder=folder)
    for reference in found:
        if reference.files is None:
            corpus(reference.name)
    return found


def run_settings(
    *,
    model: str | PathLike[str],
    task: str,
    sources: Sequence[str],
    targets: Sequence[str],
    data: str | PathLike[str] | None = None,
    protocol: ProtocolName = "sound",
    method: str | None = None,
    normalisation: Normalisation | None = None,
    search: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    select_on: SelectOn = "source-dev",
    train_limit: int | None = None,
    sample_seed: int = SAMPLE_SEED,
    scheme: str | None = None,
    columns: str | None = None,
    strict: bool = False,
    revision: str | None = None,
    rank_on: RankOn = "sources+target",
    combine: Combine = "merged",
    target_tenths: int | None = None,
    unseen_labels: UnseenLabels = "error",
) -> RunSettings:
    """The settings of a run; the protocol fills in what is not given.

    Args:
        model: Folder or hub id of a pre-trained encoder.
        task: `pos`, `ner`, `slots`, `nli` or `classification`.
        sources: Corpora trained on, such as `ud/en_ewt` or `en=TRAIN:DEV:TEST`.
        targets: Corpora tested on, such as `ud/de_gsd` or `de=TEST`.
        data: Folder in which corpora are looked up by name.
        protocol: `sound`, or for comparison `paper` or `paper-released`.
        method: Importance method.
        normalisation: Of the scores.
        search: Fields of `SearchSpec`, such as `{"max_pruned": 12}`.
        train: Fields of `TrainSpec`, such as `{"epochs": 3}`.
        select_on: Dev sets that choose the number of heads; `target-dev` is an oracle; `agreement` reads the targets' dev text
            without its labels.
        train_limit: Number of training sentences used of each source.
        sample_seed: Seed of that sample and of a held-out dev set.
        scheme: Tagging scheme of the user's own span files.
        columns: Layout of the user's own files.
        strict: Fail on malformed input instead of repairing it.
        revision: Of a hub id.
        rank_on: Where a target is also a source: rank heads on the other sources alone (`sources`) or on all.
        combine: How the rankings of several sources become one: `merged`, `summed` or `each` (MD, SD and EC in the paper).
        target_tenths: Train on the first N of ten seeded parts of a target that is also a source.
        unseen_labels: Span types, or labels of sentences, of a target that no source has: `error`, `keep` (counted as missed) or
            `drop` (read as O, or as no label).

    Raises:
        UnknownNameError: No task or corpus has this name.
        SettingError: An option is unknown, its value is not allowed, or two exclude each other.

    >>> settings = run_settings(model="m", task="pos", sources=["ud/en_ewt"], targets=["ud/de_gsd"], train={"epochs": 1})
    >>> settings.method, settings.search.how, settings.train.epochs
    ('gradient', 'screened', 1)

    >>> run_settings(model="polyhead/tiny", task="pos", sources=["phrases/en"], targets=["phrases/de"]).search.max_pruned
    12
    """
    rules = PROTOCOLS[checked("protocol", protocol, ProtocolName)]
    searched, trained = (
        checked(name, {} if x is None else x, dict[str, Any]) for name, x in (("search", search), ("train", train))
    )
    fixed = fixed_by(rules)
    values: dict[str, Any] = {
        "model": model,
        "task": task,
        "sources": sources,
        "targets": targets,
        "data": data,
        "method": rules.method if method is None else method,
        "normalisation": rules.normalisation if normalisation is None else normalisation,
        "protocol": protocol,
        "search": {**fixed["search"], **searched},
        "train": {**fixed["train"], **trained},
        "select_on": select_on,
        "train_limit": train_limit,
        "sample_seed": sample_seed,
        "scheme": scheme,
        "columns": columns,
        "strict": strict,
        "revision": revision,
        "rank_on": rank_on,
        "combine": combine,
        "target_tenths": target_tenths,
        "unseen_labels": unseen_labels,
    }
    return RunSettings(**values)
