"""The options that several commands share, one by one and in groups, so that a name means the same everywhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from polyhead.core.errors import SettingError
from polyhead.core.settings_file import Many, Place
from polyhead.core.specs import Anchor, Count, PrecisionName, Seed, WindowLength
from polyhead.data.references import is_language_code
from polyhead.data.schemes import Scheme
from polyhead.data.schemes import scheme as find_scheme
from polyhead.data.tasks import Task
from polyhead.data.tasks import task as find_task


@dataclass(frozen=True)
class Shown:
    """What `--help` shows of a request's field, which is the option of its own name unless it is positional.

    Attributes:
        help: A sentence.
        value: What stands for the value; unless given, the type's choices, `N`, `X`, `FILE` or `NAME`.
        positional: Whether it is an argument without a flag.
        alone: The value of a flag that stands alone; unless given, a value has to follow.
    """

    help: str
    value: str = ""
    positional: bool = False
    alone: str = ""


@dataclass(frozen=True)
class Settings:
    """Marks a request's field as a settings model; the model's fields with a description become options.

    Attributes:
        make: Builds the model from the options given.
        preset: Fields that are filled from elsewhere if not given.
    """

    make: Callable[..., Any]
    preset: frozenset[str] = frozenset()


def _language(code: str) -> str:
    if not is_language_code(code):
        raise ValueError("should be a BCP-47 code (de, hau, zh-Hant), or und")
    return code


def _found(find: Callable[[str], object]) -> BeforeValidator:
    return BeforeValidator(lambda name: find(name) if isinstance(name, str) else name)


ModelArgument = Annotated[Place, Shown("Folder or hub id of the model.", "MODEL", positional=True)]
TaskOption = Annotated[
    Task | None, _found(find_task), Shown("pos, ner, slots, nli, classification or mlm; as in training unless given.")
]
DataOption = Annotated[Path | None, Shown("Folder of the corpora that are named like ud/en_ewt.", "FOLDER")]
OneDataOption = Annotated[
    Path | None, Shown("A labelled file; with --corpus, the folder of corpora (phrases/* need none).", "PATH")
]
CorpusOption = Annotated[str | None, Shown("A corpus such as ud/en_ewt.")]
SplitOption = Annotated[Literal["train", "dev"], Shown("Split of the corpus; scores never see a test split.")]
AnySplitOption = Annotated[Literal["train", "dev", "test"], Shown("Split of the data; choose between rankings on dev.")]
LanguageOption = Annotated[str, AfterValidator(_language), Shown("BCP-47 code of the file's language.", "CODE")]
LimitOption = Annotated[Count | None, Shown("Use a seeded sample of N sentences.")]
MethodOption = Annotated[Many[str], Shown("Options of the method (n_lowest=24); polyhead methods lists them.", "NAME=VALUE...")]
TargetOption = Annotated[Many[str], Shown("One or more: ud/de_gsd, ud/de_gsd@words, or de=TEST, de=DEV:TEST.", "REF...")]
SchemeOption = Annotated[
    Scheme | None, _found(find_scheme), Shown("Of your span files: iob2, iob1, bioes, bilou, bmes, io or bare.", "NAME")
]
ColumnsOption = Annotated[
    str | None, Shown("Layout of your files: tab:token=2,tag=3, tsv:text=a,pair=b, jsonl:tag=upos; see docs/corpora.md.", "SPEC")
]
RevisionOption = Annotated[str | None, Shown("Branch, tag or commit of a hub model.")]
JsonOption = Annotated[bool, Shown("Print only one JSON document, the result, on stdout.")]
SeedOption = Annotated[Seed, Shown("Random seed.")]
NormaliseOption = Annotated[Literal["none", "paper"], Shown("Scaling of the scores before ranking.")]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where a command computes."""

    device: Annotated[str, Shown("auto, cpu, cuda, cuda:N or mps.")] = "auto"
    threads: Annotated[Count | None, Shown("Processor threads; one per free core unless given.")] = None


@dataclass(frozen=True, kw_only=True)
class Files:
    """How the user's own files are written."""

    scheme: SchemeOption = None
    columns: ColumnsOption = None
    strict: Annotated[bool, Shown("Fail on malformed input instead of repairing it.")] = False


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a tagger reads sentences, where the user says so; None takes what its training recorded, else the default."""

    anchor: Annotated[Anchor | None, Shown("Labelled subword of a word: first with text, or first; else as in training.")] = None
    max_length: Annotated[WindowLength | None, Shown("Subwords per window; unless given as in training, else 256.")] = None
    precision: Annotated[PrecisionName | None, Shown("auto: bf16 on hardware for it; as in training unless given.")] = None


def method_options(given: Sequence[str]) -> dict[str, str]:
    """What `--option` says, by name.

    Raises:
        SettingError: One is not NAME=VALUE, or names an option that another one sets.

    >>> method_options(["n_lowest=24", "max-passes=100"])
    {'n_lowest': '24', 'max_passes': '100'}
    """
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        key = name.strip().replace("-", "_")
        if not sign or key in found:
            raise SettingError(f"--option {text}: {'given twice' if sign else 'expected NAME=VALUE, for example n_lowest=24'}")
        found[key] = value.strip()
    return found


def comma_separated(option: str, texts: Sequence[str]) -> list[str]:
    """The names in the values of an option, which may be joined by commas.

    Raises:
        SettingError: A comma has no name beside it.

    >>> comma_separated("--heads", ["0.1,2.3", "4.5"])
    ['0.1', '2.3', '4.5']
    """
    names = [name.strip() for text in texts for name in text.split(",")]
    if not all(names):
        raise SettingError(f"{option} {' '.join(texts)!r}: a name is missing beside a comma")
    return names
