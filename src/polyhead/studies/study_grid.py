"""One grid of a study file: its keys, their types and defaults, and the names that they may hold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from polyhead.core.errors import PolyheadError, allowed_names
from polyhead.core.heads import Normalisation
from polyhead.core.settings_file import Place, refused, settings
from polyhead.core.specs import Count, Flag, SearchSpec, Seed, TrainSpec
from polyhead.data.corpora import corpus
from polyhead.data.references import DataReference
from polyhead.data.schemes import SCHEME_NAMES
from polyhead.data.tasks import task
from polyhead.importance.methods import method
from polyhead.models.names import OWN_ENCODERS
from polyhead.studies.arms import Control
from polyhead.studies.protocols import PROTOCOLS, ProtocolName, fixed_by
from polyhead.studies.settings import Combine, Name, RankOn, SelectOn, Tenths, UnseenLabels
from polyhead.studies.study_cells import Setting

T = TypeVar("T")
SEEDS = (42, 43, 44, 45, 46)


def _named(find: Callable[[str], object]) -> AfterValidator:
    """Refuses a name that `find` does not know, in its words."""

    def known(name: str) -> str:
        try:
            find(name)
        except PolyheadError as error:
            raise refused(str(error)) from None
        return name

    return AfterValidator(known)


def _reference(text: str) -> None:
    reference = DataReference.parse(text)
    if reference.files is None:
        corpus(reference.name)


def _model(name: str) -> str:
    if name.startswith("polyhead/") and name not in OWN_ENCODERS:
        raise refused(f"model {name!r}: {allowed_names(name, OWN_ENCODERS)}, a folder, or a hub id")
    return name


def _each_once(values: tuple[T, ...]) -> tuple[T, ...]:
    if repeated := [value for place, value in enumerate(values) if value in values[:place]]:
        raise ValueError(f"should name each once, but {repeated[0]!r} is there {values.count(repeated[0])} times")
    return values


def _listed(value: Any) -> Any:
    if isinstance(value, str | int | float):
        shown = "true" if value is True else "false" if value is False else f"{value!r}".replace("'", '"')
        raise ValueError(f"should be a list, for example [{shown}]")
    return tuple(value) if isinstance(value, Sequence) else value


def _some(values: tuple[T, ...]) -> tuple[T, ...]:  # a length that pydantic checks would count refused items as missing
    if not values:
        raise refused("should have at least one item")
    return values


AnyNumber = Annotated[tuple[T, ...], Field(strict=True), BeforeValidator(_listed), AfterValidator(_each_once)]
"""A list that names each value once."""
Listed = Annotated[AnyNumber[T], AfterValidator(_some)]
"""A list of one or more, each once."""
Reference = Annotated[Name, _named(_reference)]


@settings
class Grid:
    """One grid: every combination of its lists is a cell.

    Raises:
        SettingError: Any value is not allowed; the message names all such values.
    """

    name: Annotated[Name | None, Field(description="Name of the grid, shown in tables.")] = None
    tasks: Annotated[Listed[Annotated[Name, _named(task)]], Field(description="pos, ner, slots, nli or classification.")]
    models: Annotated[
        Listed[Annotated[Place, AfterValidator(_model)]],
        Field(description="Folders or hub ids of pre-trained encoders; polyhead/tiny comes with the package."),
    ]
    revision: Annotated[Name | None, Field(description="Branch, tag or commit of hub models.")] = None
    settings: Annotated[
        Listed[Setting],
        Field(
            description="cross-lingual: train on a source, test on all targets of other languages. multi-lingual: train on a "
            "source and a target together. multi-source: train on all sources of other languages than the target. low-resource: "
            "as multi-lingual, with tenths of the target's data. monolingual: test a source in its own language."
        ),
    ] = ("cross-lingual",)
    sources: Annotated[Listed[Reference], Field(description="Corpora trained on: ud/en_ewt, or en=TRAIN:DEV:TEST.")]
    targets: Annotated[
        Listed[Reference] | None,
        Field(description="Corpora tested on: ud/de_gsd, or de=TEST. A monolingual grid without them tests its own sources."),
    ] = None
    methods: Annotated[
        Listed[Annotated[Name, _named(method)]],
        Field(description="How heads are scored; see polyhead methods. The protocol's unless given."),
    ]
    normalisation: Annotated[
        Normalisation, Field(description="Scaling of the scores before ranking: none or paper. The protocol's unless given.")
    ]
    protocol: Annotated[
        ProtocolName, Field(description="sound; paper and paper-released are for comparison only. Fixes what is not given.")
    ] = "sound"
    seeds: Annotated[Listed[Seed], Field(description="Seeds of the fine-tunings; fewer than five give no p-value.")] = SEEDS
    controls: Annotated[
        AnyNumber[Control],
        Field(
            description="Arms beside ranked: random, highest and depth (layers from the top) prune other heads under the same "
            "search; noise re-seeds the unpruned model, for searches that compare separate fine-tunings."
        ),
    ] = ()
    noise_runs: Annotated[
        Count | None, Field(description="Unpruned fine-tunings of noise; twice the models a search compares, at least ten.")
    ] = None
    train_limit: Annotated[
        Count | None,
        Field(description="Training sentences used of each source: the same sample for every seed; all if not given."),
    ] = None
    select_on: Annotated[
        SelectOn,
        Field(description="What chooses k: source-dev, pooled, target-dev (an oracle) or agreement (needs no labels)."),
    ] = "source-dev"
    rank_on: Annotated[
        RankOn,
        Field(description="Multi-lingual, low-resource: sources ranks heads on the source alone, as the paper does."),
    ] = "sources+target"
    combine: Annotated[
        Listed[Combine],
        Field(
            description="Multi-source: merged adds raw scores (MD), summed those scaled as in the paper (SD), each searches "
            "per source (EC)."
        ),
    ] = ("merged",)
    target_tenths: Annotated[
        Listed[Tenths] | None, Field(description="Low-resource: tenths of the target's training sentences; 1 to 9 if not given.")
    ] = None
    unseen_labels: Annotated[
        UnseenLabels, Field(description="Labels of a target that no source has: error, keep (they count as errors) or drop.")
    ] = "error"
    columns: Annotated[Name | None, Field(description="Layout of your own files, as --columns; see docs/corpora.md.")] = None
    scheme: Annotated[Name | None, Field(description=f"Tagging scheme of your own files: {SCHEME_NAMES}.")] = None
    strict: Annotated[Flag, Field(description="Fail on malformed input instead of repairing it.")] = False
    search: SearchSpec = field(default_factory=SearchSpec)
    train: TrainSpec = field(default_factory=TrainSpec)


def filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a grid with those that its protocol sets where they are not given."""
    named = values.get("protocol", "sound")
    rules = PROTOCOLS.get(named if isinstance(named, str) else "sound", PROTOCOLS["sound"])  # type: ignore[call-overload]
    found = {"methods": [rules.method], "normalisation": rules.normalisation, **values}
    for table, fixed in fixed_by(rules).items():
        given = values.get(table, {})
        found[table] = {**fixed, **given} if isinstance(given, Mapping) else given
    return found


def grid(values: Mapping[str, Any]) -> Grid:
    """The grid with these keys of a study file, the tables `search` and `train` as mappings.

    Raises:
        SettingError: Any value is not allowed; the message names all such values.

    >>> made = grid({"tasks": ["pos"], "models": ["polyhead/tiny"], "sources": ["phrases/en"], "targets": ["phrases/de"]})
    >>> made.methods, made.search.how, len(made.seeds)
    (('gradient',), 'screened', 5)
    """
    return Grid(**filled(values))
