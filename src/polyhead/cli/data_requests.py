"""Requests of the commands about corpora and files of text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from polyhead.cli.options import ColumnsOption, DataOption, JsonOption, SchemeOption, Shown, TaskOption
from polyhead.core.settings_file import Many, Place
from polyhead.core.specs import WindowLength


@dataclass(frozen=True, kw_only=True)
class DataListRequest:
    """List the corpora that are known by name: language, task, splits, licence; with --data, the splits found in that folder."""

    names: Annotated[Many[str], Shown("Corpora or families (xsid/de, ud); all unless given.", "NAME", positional=True)] = ()
    data: DataOption = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class DataGetRequest:
    """Fetch corpora from their public sources into the data folder, checking every file before it is stored.

    A second run fetches only what is missing. Licences are shown; keep to them. Checksums are kept in polyhead-data.json.
    """

    names: Annotated[Many[str], Shown("Corpora, such as ud/en_ewt.", "NAME", positional=True)]
    data: Annotated[Path, Shown("The folder that other commands take as --data.", "FOLDER")]
    mirror: Annotated[str | None, Shown("URL used instead of every source's host (or set POLYHEAD_DATA_MIRROR).", "URL")] = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class DataCheckRequest:
    """Report on labelled text before you train on it: format, counts, labels, repairs, long sentences, duplicates.

    Without --columns or --scheme the format is guessed, and the options that declare it to other commands are printed. With a
    tokenizer: unknown tokens, words whose first subword is a bare space marker, sentences longer than a window. Exit code 1 under
    --strict if reading has to repair anything, or if two splits share a sentence.
    """

    reference: Annotated[Place, Shown("A file, LANGUAGE=TRAIN:DEV:TEST, or a corpus such as ud/en_ewt.", "DATA", positional=True)]
    data: DataOption = None
    task: Annotated[
        TaskOption | None, Shown("pos, ner, slots, nli, classification or mlm; guessed from the file unless given.")
    ] = None
    scheme: SchemeOption = None
    columns: ColumnsOption = None
    tokenizer: Annotated[Place | None, Shown("Folder or hub id of the model whose tokenizer is tested.", "MODEL")] = None
    max_length: Annotated[WindowLength, Shown("Subwords in a window; longer sentences are counted.")] = 256
    strict: Annotated[bool, Shown("Exit with 1 if there are repairs or two splits share a sentence.")] = False
    json: JsonOption = False
