"""`polyhead data get`: corpora from their public homes into the data folder."""

from dataclasses import asdict

from polyhead.cli.console import Console
from polyhead.cli.data_requests import DataGetRequest
from polyhead.cli.failures import DONE
from polyhead.core.errors import SettingError
from polyhead.data.fetch import Got, get_corpus, known_home

_SAID = {
    "fetched": "fetched",
    "there": "already there",
    "not ours": "already there, not fetched by polyhead: left as it is",
    "failed": "could not be fetched; read the licence at the address above",
}


def data_get(request: DataGetRequest, console: Console) -> int:
    """Fetch, one file after the other; what is finished stays whatever happens then."""
    if request.data.exists() and not request.data.is_dir():
        raise SettingError(f"--data {request.data}: a file; name a folder, which is made if need be")
    homes = {name: known_home(name) for name in request.names}
    document = []
    lines = []
    for name, home in homes.items():
        console.note(f"{name}: {home.page}, licence {home.licence}")
        files: list[Got] = []
        for got in get_corpus(name, request.data, mirror=request.home, progress=console.progress):
            files.append(got)
            console.progress.stop()
            console.note(f"  {got.path}: {_SAID[got.status]}{_checked(got)}")
        if home.missing:
            console.note(f"note: {name}: its home lacks {home.missing}")
        document.append(
            {
                "name": name,
                "page": home.page,
                "licence": home.licence,
                "missing": home.missing,
                "files": [asdict(got) for got in files],
            }
        )
        fetched, failed = (sum(got.status == status for got in files) for status in ("fetched", "failed"))
        there = len(files) - fetched - failed
        lines.append(f"{name}: {fetched} fetched, {there} already there; licence {home.licence}")
    console.result({"schema": 1, "data": str(request.data), "corpora": document}, "\n".join(lines))
    return DONE


def _checked(got: Got) -> str:
    if got.status in ("not ours", "failed"):
        return ""
    return ", the released bytes" if got.pinned else ", as at the first download"
