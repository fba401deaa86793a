"""The options that several commands share, so that a name means the same everywhere."""

from pathlib import Path
from typing import Annotated, Literal

import typer

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Folder or hub id of the model.", show_default=False)]
TaskOption = Annotated[str, typer.Option("--task", metavar="NAME", help="pos, ner or slots.", show_default=False)]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="FOLDER", help="Where corpora named ud/en_ewt and so on lie.", show_default=False),
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
    str | None, typer.Option("--scheme", metavar="NAME", help="How your span files are tagged: iob2, iob1, bioes, io.")
]
ColumnsOption = Annotated[
    str | None,
    typer.Option("--columns", metavar="SPEC", help="Layout of your column files, for example tab:token=2,tag=3,comments=hash."),
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Make an error of everything that reading would repair.")]
RevisionOption = Annotated[str | None, typer.Option("--revision", metavar="NAME", help="Branch, tag or commit of a hub model.")]
DeviceOption = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, metavar="N", help="Processor threads; all cores unless given.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
PrecisionOption = Annotated[
    Literal["auto", "bf16", "fp32"] | None,
    typer.Option("--precision", help="That of the training unless given; auto is bf16 where the processor has units for it."),
]
MaxLengthOption = Annotated[
    int | None,
    typer.Option("--max-length", min=8, metavar="N", help="Pieces read at once; that of the training, else 256, unless given."),
]
AnchorOption = Annotated[
    Literal["text", "first"] | None,
    typer.Option(
        "--anchor", help="Where a word is labelled: its first piece with text of it, or its first; as trained unless given."
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Of everything random.")]
