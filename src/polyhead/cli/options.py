"""The options that several commands share, one by one and in groups, so that a name means the same everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from polyhead.core.errors import SettingError
from polyhead.data.references import DataReader
from polyhead.data.tasks import Task

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Folder or hub id of the model.", show_default=False)]
TaskOption = Annotated[str, typer.Option("--task", metavar="NAME", help="pos, ner or slots.", show_default=False)]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="FOLDER", help="Where corpora named ud/en_ewt and so on lie.", show_default=False),
]
OneDataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="A labelled file; or, with --corpus, the folder where corpora lie (phrases/en and so on need none).",
        show_default=False,
    ),
]
CorpusOption = Annotated[str | None, typer.Option("--corpus", metavar="NAME", help="A corpus such as ud/en_ewt.")]
SplitOption = Annotated[
    Literal["train", "dev"],
    typer.Option("--split", metavar="NAME", help="Of the corpus: train or dev; scores never see a test split."),
]
LanguageOption = Annotated[str, typer.Option("--language", metavar="CODE", help="BCP-47 code of the file's language.")]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Use a seeded sample of N sentences.")]
MethodOption = Annotated[
    list[str],
    typer.Option(
        "--option", metavar="NAME=VALUE...", help="One or more of the method's own, as n_lowest=24; polyhead methods lists them."
    ),
]
TargetOption = Annotated[
    list[str],
    typer.Option(
        "--target", metavar="REF...", help="One or more: ud/de_gsd, ud/de_gsd@words, or de=TEST, de=DEV:TEST.", show_default=False
    ),
]
SourceOption = Annotated[
    list[str],
    typer.Option("--source", metavar="REF...", help="One or more: ud/en_ewt, or en=TRAIN:DEV:TEST.", show_default=False),
]
SchemeOption = Annotated[
    str | None, typer.Option("--scheme", metavar="NAME", help="How your span files are tagged: iob2, iob1, bioes or io.")
]
ColumnsOption = Annotated[
    str | None,
    typer.Option("--columns", metavar="SPEC", help="Layout of your files, as tab:token=2,tag=3 or facebook (README: all)."),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", metavar="", help="Make an error of everything that reading would repair.")
]
RevisionOption = Annotated[str | None, typer.Option("--revision", metavar="NAME", help="Branch, tag or commit of a hub model.")]
JsonOption = Annotated[
    bool, typer.Option("--json", metavar="", help="The result as one JSON document on stdout, nothing else there.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Of everything random.")]
NormaliseOption = Annotated[
    Literal["none", "paper"],
    typer.Option("--normalise", metavar="HOW", help="Scaling of the scores before ranking: none or paper."),
]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where a command computes."""

    device: Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")] = "auto"
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, metavar="N", help="Processor threads; the cores that are free unless given.")
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
    """How a tagger is to read sentences, where the user says so; None takes what its training recorded, else the default."""

    anchor: Annotated[
        Literal["text", "first"] | None,
        typer.Option(
            "--anchor",
            metavar="PIECE",
            help="Where a word is labelled: text (its first piece with text of it) or first; as trained unless given.",
        ),
    ] = None
    max_length: Annotated[
        int | None,
        typer.Option("--max-length", min=8, metavar="N", help="Pieces in a window; as trained, else 256, unless given."),
    ] = None
    precision: Annotated[
        Literal["auto", "bf16", "fp32"] | None,
        typer.Option(
            "--precision",
            metavar="NAME",
            help="auto (bf16 where the processor has units for it), bf16 or fp32; as trained unless given.",
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
