"""What the `polyhead data` commands are asked to do; each field is an option, the docstring the help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from polyhead.cli.options import ColumnsOption, DataOption, JsonOption, SchemeOption


@dataclass(frozen=True, kw_only=True)
class DataListRequest:
    """List the corpora that are known by name: language, task, splits, licence; with --data, which splits lie in that folder."""

    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Corpora or families, as ud or xsid/de; all of them unless given."),
    ] = None
    data: DataOption = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class DataGetRequest:
    """Fetch corpora from their public sources into the data folder, each file checked before it gets its name.

    Run it again and only what is missing is fetched. Licences are shown; keep to them. Sums are kept in polyhead-data.json.
    """

    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Corpora, as ud/en_ewt.", show_default=False)]
    data: Annotated[
        Path, typer.Option("--data", metavar="FOLDER", help="The folder that other commands take as --data.", show_default=False)
    ]
    mirror: Annotated[
        str | None,
        typer.Option(
            "--mirror",
            metavar="URL",
            help="An address in place of every source's host (or set POLYHEAD_DATA_MIRROR).",
            show_default=False,
        ),
    ] = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class DataCheckRequest:
    """Report on labelled text before you train on it: format, counts, labels, repairs, long sentences, duplicates.

    A format that is not declared is looked for and reported, and the options that declare it to other commands are named. With a
    tokenizer: unknown tokens, words whose first piece is a bare space marker, sentences longer than a window. Exit code 1 under
    --strict if reading has to repair anything, or if a sentence of one split stands in another.
    """

    reference: Annotated[
        str,
        typer.Argument(metavar="DATA", help="A file, LANGUAGE=TRAIN:DEV:TEST, or a corpus as ud/en_ewt.", show_default=False),
    ]
    data: DataOption = None
    task: Annotated[str | None, typer.Option("--task", metavar="NAME", help="pos, ner or slots; what the file shows.")] = None
    scheme: SchemeOption = None
    columns: ColumnsOption = None
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", metavar="MODEL", help="Folder or hub id whose tokenizer to try.")
    ] = None
    max_length: Annotated[
        int, typer.Option("--max-length", min=8, metavar="N", help="Pieces in a window; longer sentences are counted.")
    ] = 256
    strict: Annotated[
        bool, typer.Option("--strict", metavar="", help="Exit with 1 if there are repairs or splits share a sentence.")
    ] = False
    json: JsonOption = False
