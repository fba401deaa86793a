"""`polyhead data list` and `polyhead data get`: corpora by name, and from their public sources into the data folder."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from polyhead.cli.console import Console, wrapped
from polyhead.cli.data_requests import DataGetRequest, DataListRequest
from polyhead.cli.exit_codes import DONE
from polyhead.cli.outputs import check_folder
from polyhead.core.errors import SettingError
from polyhead.data.conllu import Words
from polyhead.data.corpora import CORPORA, corpus, corpus_file
from polyhead.data.corpus_table import SPLITS, Split
from polyhead.data.download_urls import source
from polyhead.data.fetch import Got, get_corpus, known_source
from polyhead.data.textfile import find_file
from polyhead.report.tables import markdown

FAMILIES = frozenset(name.partition("/")[0] for name in CORPORA)
_SAID = {
    "fetched": "fetched, {}",
    "there": "already there, {}",
    "not ours": "already there, not fetched by polyhead: left as it is",
    "failed": "could not be fetched; read the licence at the address above",
}


def data_get(request: DataGetRequest, console: Console) -> int:
    """Fetch file by file; finished files stay if a later one fails."""
    check_folder("--data", request.data)
    sources = {name: known_source(name) for name in request.names}
    document: list[dict[str, Any]] = []
    lines = []
    for name, found in sources.items():
        console.note(f"{name}: {found.page}, licence {found.licence}")
        files: list[Got] = []
        try:
            for got in get_corpus(name, request.data, mirror=request.mirror, progress=console.progress):
                files.append(got)
                console.progress.stop()
                checked = "the released bytes" if got.pinned else "as at the first download"
                console.note(f"  {got.path}: {_SAID[got.status].format(checked)}")
        except KeyboardInterrupt as stop:
            if files or document:
                stop.add_note("fetched files are kept: start it again to fetch the others")
            raise
        if found.missing:
            console.note(f"note: {name}: its source lacks {found.missing}")
        facts = {"name": name, "page": found.page, "licence": found.licence, "missing": found.missing}
        document.append(facts | {"files": [asdict(got) for got in files]})
        fetched, failed = (sum(got.status == status for got in files) for status in ("fetched", "failed"))
        there = len(files) - fetched - failed
        lines.append(f"{name}: {fetched} fetched, {there} already there; licence {found.licence}")
    console.result({"schema": 1, "data": str(request.data), "corpora": document}, "\n".join(lines))
    return DONE


def data_list(request: DataListRequest, console: Console) -> int:
    """Print one row per corpus."""
    if request.data is not None and not request.data.is_dir():
        why = f"no such folder; polyhead data get NAME --data {request.data} creates it"
        raise SettingError(f"--data {request.data}: {'is a file; name a folder' if request.data.exists() else why}")
    facts, rows = [], []
    for name in _chosen(request.names):
        row, found = CORPORA[name], source(name)
        splits = [split for split in SPLITS if split in row.splits]
        here = None if request.data is None else [s for s in splits if row.made or is_there(name, s, request.data)]
        licence = found.licence if found else "Apache-2.0" if row.made else ""
        facts.append(
            {
                "name": name,
                "language": row.language,
                "task": row.task,
                "splits": splits,
                "here": here,
                "licence": licence,
                "page": found.page if found else "",
                "files": [remote.url for remote in found.files] if found else [],
                "advice": row.advice,
            }
        )
        shown = " ".join((splits if here is None else here) or ["none"])
        rows.append([name, row.language, row.task, shown, licence.partition(" (")[0] or "unknown"])
    notes = "polyhead data get NAME --data FOLDER fetches one, unless its licence is unknown; phrases need no fetching."
    text = markdown(["name", "language", "task", "splits" if request.data is None else "here", "licence"], rows)
    console.result({"schema": 1, "corpora": facts}, f"{text}\n\n{wrapped(notes)}")
    return DONE


def _chosen(names: Sequence[str]) -> list[str]:
    """The corpora of these names and families, in the order of the table."""
    for name in names:
        if name not in FAMILIES:
            corpus(name)  # refuses what is neither
    return [name for name in CORPORA if not names or name in names or name.partition("/")[0] in names]


def is_there(name: str, split: Split, root: Path, *, words: Words = "surface") -> bool:
    """Whether the split's file is in the data folder."""
    path, _ = corpus_file(name, split, root=root, words=words)
    return find_file(path) is not None
