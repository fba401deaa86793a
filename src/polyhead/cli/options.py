"""The options that several commands share, one by one and in groups, so that a name means the same everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import AfterValidator

from polyhead.core.errors import SettingError
from polyhead.core.settings_file import Place
from polyhead.core.specs import Anchor, Count, PrecisionName, Seed, WindowLength
from polyhead.data.references import DataReader, is_language_code
from polyhead.data.tasks import Task


@dataclass(frozen=True)
class FieldsOf:
    """Says of a request's field that it holds, by name, what is given of a settings model.

    Attributes:
        model: Its fields that have a description are the options.
        preset: Names of those that something else than the model answers where they are not given.
    """

    model: type
    preset: frozenset[str] = frozenset()


def _language(code: str) -> str:
    if not is_language_code(code):
        raise ValueError("should be a BCP-47 code (de, hau, zh-Hant), or und")
    return code


ModelArgument = Annotated[Place, typer.Argument(metavar="MODEL", help="Folder or hub id of the model.", show_default=False)]
TaskOption = Annotated[str, typer.Option("--task", metavar="NAME", help="pos, ner or slots.", show_default=False)]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="FOLDER", help="Folder of the corpora that are named like ud/en_ewt.", show_default=False),
]
OneDataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="A labelled file; or, with --corpus, the folder of corpora (phrases/* need none).",
        show_default=False,
    ),
]
CorpusOption = Annotated[str | None, typer.Option("--corpus", metavar="NAME", help="A corpus such as ud/en_ewt.")]
SplitOption = Annotated[
    Literal["train", "dev"],
    typer.Option("--split", metavar="NAME", help="Split of the corpus: train or dev; scores never see a test split."),
]
LanguageOption = Annotated[
    str, AfterValidator(_language), typer.Option("--language", metavar="CODE", help="BCP-47 code of the file's language.")
]
LimitOption = Annotated[Count | None, typer.Option("--limit", metavar="N", help="Use a seeded sample of N sentences.")]
MethodOption = Annotated[
    list[str],
    typer.Option(
        "--option", metavar="NAME=VALUE...", help="Options of the method, such as n_lowest=24; polyhead methods lists them."
    ),
]
TargetOption = Annotated[
    list[str],
    typer.Option(
        "--target", metavar="REF...", help="One or more: ud/de_gsd, ud/de_gsd@words, or de=TEST, de=DEV:TEST.", show_default=False
    ),
]
SchemeOption = Annotated[
    str | None, typer.Option("--scheme", metavar="NAME", help="Tagging scheme of your span files: iob2, iob1, bioes or io.")
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns", metavar="SPEC", help="Layout of your files, such as tab:token=2,tag=3 or facebook; see docs/corpora.md."
    ),
]
StrictOption = Annotated[bool, typer.Option("--strict", metavar="", help="Fail on malformed input instead of repairing it.")]
RevisionOption = Annotated[str | None, typer.Option("--revision", metavar="NAME", help="Branch, tag or commit of a hub model.")]
JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print only one JSON document, the result, on stdout.")]
SeedOption = Annotated[Seed, typer.Option("--seed", metavar="N", help="Random seed.")]
NormaliseOption = Annotated[
    Literal["none", "paper"],
    typer.Option("--normalise", metavar="HOW", help="Scaling of the scores before ranking: none or paper."),
]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where a command computes."""

    device: Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")] = "auto"
    threads: Annotated[
        Count | None, typer.Option("--threads", metavar="N", help="Processor threads; one per free core unless given.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Files:
    """How the user's own files are written."""

    scheme: SchemeOption = None
    columns: ColumnsOption = None
    strict: StrictOption = False

    def reader(self, task: Task, root: Path | None, *, kept: frozenset[str] = frozenset()) -> DataReader:
        """What opens the command's data; `kept`: span types that the model at hand predicts, which no corpus merges."""
        return DataReader(task=task, root=root, scheme=self.scheme, columns=self.columns, strict=self.strict, kept=kept)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a tagger reads sentences, where the user says so; None takes what its training recorded, else the default."""

    anchor: Annotated[
        Anchor | None,
        typer.Option(
            "--anchor",
            metavar="text|first",
            help="Subword that carries a word's label: the first one with text, or the first one; as in training unless given.",
        ),
    ] = None
    max_length: Annotated[
        WindowLength | None,
        typer.Option("--max-length", metavar="N", help="Subwords per window; unless given as in training, else 256."),
    ] = None
    precision: Annotated[
        PrecisionName | None,
        typer.Option(
            "--precision",
            metavar="auto|bf16|fp32",
            help="auto uses bf16 where the hardware supports it; as in training unless given.",
        ),
    ] = None


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
