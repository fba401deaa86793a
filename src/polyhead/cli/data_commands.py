"""`polyhead data get`: corpora from their public sources into the data folder."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from polyhead.cli.console import Console, wrapped
from polyhead.cli.data_requests import DataGetRequest, DataListRequest
from polyhead.cli.exit_codes import DONE
from polyhead.core.errors import SettingError
from polyhead.data.corpora import CORPORA, corpus, corpus_file
from polyhead.data.corpus_table import SPLITS, Split
from polyhead.data.download_urls import source
from polyhead.data.fetch import Got, get_corpus, known_source
from polyhead.data.textfile import find_file
from polyhead.report.tables import markdown

_SAID = {
    "fetched": "fetched",
    "there": "already there",
    "not ours": "already there, not fetched by polyhead: left as it is",
    "failed": "could not be fetched; read the licence at the address above",
}


def data_get(request: DataGetRequest, console: Console) -> int:
    """Fetch file by file; finished files stay if a later one fails."""
    if request.data.exists() and not request.data.is_dir():
        raise SettingError(f"--data {request.data}: is a file; name a folder (created if missing)")
    sources = {name: known_source(name) for name in request.names}
    document = []
    lines = []
    for name, found in sources.items():
        console.note(f"{name}: {found.page}, licence {found.licence}")
        files: list[Got] = []
        for got in get_corpus(name, request.data, mirror=request.mirror, progress=console.progress):
            files.append(got)
            console.progress.stop()
            console.note(f"  {got.path}: {_SAID[got.status]}{_checked(got)}")
        if found.missing:
            console.note(f"note: {name}: its source lacks {found.missing}")
        document.append(
            {
                "name": name,
                "page": found.page,
                "licence": found.licence,
                "missing": found.missing,
                "files": [asdict(got) for got in files],
            }
        )
        fetched, failed = (sum(got.status == status for got in files) for status in ("fetched", "failed"))
        there = len(files) - fetched - failed
        lines.append(f"{name}: {fetched} fetched, {there} already there; licence {found.licence}")
    console.result({"schema": 1, "data": str(request.data), "corpora": document}, "\n".join(lines))
    return DONE


def _checked(got: Got) -> str:
    if got.status in ("not ours", "failed"):
        return ""
    return ", the released bytes" if got.pinned else ", as at the first download"


def data_list(request: DataListRequest, console: Console) -> int:
    """Print one row per corpus."""
    if request.data is not None and not request.data.is_dir():
        raise SettingError(f"--data {request.data}: no such folder; polyhead data get NAME --data {request.data} creates it")
    facts = []
    for name in _chosen(request.names or []):
        row, found = CORPORA[name], source(name)
        splits = [split for split in SPLITS if split in row.splits]
        facts.append(
            {
                "name": name,
                "language": row.language,
                "task": row.task,
                "splits": splits,
                "here": None if request.data is None else [s for s in splits if row.made or _is_there(name, s, request.data)],
                "licence": found.licence if found else "Apache-2.0" if row.made else "",
                "page": found.page if found else "",
                "files": [remote.url for remote in found.files] if found else [],
                "advice": row.advice,
            }
        )
    last = "splits" if request.data is None else "here"
    rows = [
        [fact["name"], fact["language"], fact["task"], " ".join(fact[last] or ["none"]), _short(str(fact["licence"]))]  # type: ignore[arg-type]
        for fact in facts
    ]
    notes = (
        "polyhead data get NAME --data FOLDER fetches one, unless its licence is unknown; phrases are made by polyhead itself."
    )
    text = markdown(["name", "language", "task", last, "licence"], rows)
    console.result({"schema": 1, "corpora": facts}, f"{text}\n\n{wrapped(notes)}")
    return DONE


def _chosen(names: Sequence[str]) -> list[str]:
    """The corpora of these names and families, in the order of the table.

    Raises:
        UnknownNameError: A name is neither.
    """
    families = {name.partition("/")[0] for name in CORPORA}
    for name in names:
        if name not in families:
            corpus(name)
    return [name for name in CORPORA if not names or name in names or name.partition("/")[0] in names]


def _is_there(name: str, split: Split, root: Path) -> bool:
    path, _ = corpus_file(name, split, root=root)
    return find_file(path) is not None


def _short(licence: str) -> str:
    return licence.partition(" (")[0] or "unknown"
