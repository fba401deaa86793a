"""Requests of the `polyhead data` commands: each field is an option, the docstring is the help text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from polyhead.cli.options import ColumnsOption, DataOption, JsonOption, SchemeOption


@dataclass(frozen=True, kw_only=True)
class DataListRequest:
    """List the corpora that are known by name: language, task, splits, licence; with --data, the splits found in that folder."""

    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Corpora or families, such as xsid/de or ud; all unless given."),
    ] = None
    data: DataOption = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class DataGetRequest:
    """Fetch corpora from their public sources into the data folder, checking every file before it is stored.

    A second run fetches only what is missing. Licences are shown; keep to them. Checksums are kept in polyhead-data.json.
    """

    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Corpora, such as ud/en_ewt.", show_default=False)]
    data: Annotated[
        Path, typer.Option("--data", metavar="FOLDER", help="The folder that other commands take as --data.", show_default=False)
    ]
    mirror: Annotated[
        str | None,
        typer.Option(
            "--mirror",
            metavar="URL",
            help="URL used instead of every source's host (or set POLYHEAD_DATA_MIRROR).",
            show_default=False,
        ),
    ] = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class DataCheckRequest:
    """Report on labelled text before you train on it: format, counts, labels, repairs, long sentences, duplicates.

    Without --columns or --scheme the format is guessed, and the options that declare it to other commands are printed. With a
    tokenizer: unknown tokens, words whose first subword is a bare space marker, sentences longer than a window. Exit code 1 under
    --strict if reading has to repair anything, or if two splits share a sentence.
    """

    reference: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="A file, LANGUAGE=TRAIN:DEV:TEST, or a corpus such as ud/en_ewt.", show_default=False
        ),
    ]
    data: DataOption = None
    task: Annotated[
        str | None, typer.Option("--task", metavar="NAME", help="pos, ner or slots; guessed from the file unless given.")
    ] = None
    scheme: SchemeOption = None
    columns: ColumnsOption = None
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", metavar="MODEL", help="Folder or hub id of the model whose tokenizer is tested.")
    ] = None
    max_length: Annotated[
        int, typer.Option("--max-length", min=8, metavar="N", help="Subwords in a window; longer sentences are counted.")
    ] = 256
    strict: Annotated[
        bool, typer.Option("--strict", metavar="", help="Exit with 1 if there are repairs or two splits share a sentence.")
    ] = False
    json: JsonOption = False
