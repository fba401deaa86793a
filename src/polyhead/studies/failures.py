"""Work that failed: a record for each, with its traceback beside it, so that it is known, tried again, and then left alone."""

import logging
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from polyhead.core.files import write_bytes_atomic, write_text_atomic
from polyhead.core.records import StoredRecord, read_records, record_bytes, set_aside

logger = logging.getLogger(__name__)
SCHEMA: Final = 1


@dataclass(frozen=True)
class Failure:
    """One job or stage that failed.

    Attributes:
        name: The job or stage.
        what: The error in one line.
        worker: Who met it last.
        times: How often it failed.
        at: When it failed last, by that worker's clock.
        trace: Name of the file with the traceback.
    """

    name: str
    what: str
    worker: str
    times: int
    at: str
    trace: str


def record_failure(folder: Path, name: str, error: BaseException, *, worker: str) -> Failure:
    """Write what failed to `NAME.json` and its traceback to `NAME.trace.txt`, counting earlier failures of the same name.

    Raises:
        WriteError: They cannot be written.
    """
    before = read_failure(folder, name)
    trace = folder / f"{name}.trace.txt"
    what = f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"
    at = datetime.now(UTC).isoformat(timespec="seconds")
    failure = Failure(name, what, worker, 1 + (before.times if before else 0), at, trace.name)
    write_text_atomic(trace, "".join(traceback.format_exception(error)))
    write_bytes_atomic(folder / f"{name}.json", record_bytes(asdict(failure), schema=SCHEMA))
    logger.warning("%s failed (%s), traceback in %s", name, what, trace)
    return failure


def read_failures(folder: Path) -> dict[str, Failure]:
    """All failures by name; damaged records are set aside and said.

    Raises:
        StoreError: The folder cannot be read.
    """
    return _failures(folder, None)


def read_failure(folder: Path, name: str) -> Failure | None:
    """The failure of one job or stage, or None.

    Raises:
        StoreError: It cannot be read.
    """
    return _failures(folder, [name]).get(name)


def forget_failure(folder: Path, name: str) -> None:
    """Remove a failure and its traceback, once the work is done."""
    for path in (folder / f"{name}.json", folder / f"{name}.trace.txt"):
        with suppress(OSError):
            path.unlink()


def _failures(folder: Path, names: list[str] | None) -> dict[str, Failure]:
    found = read_records(folder, schema=SCHEMA, names=names)
    set_aside(found.damaged)
    return {record.name: _failure(record) for record in found.good}


def _failure(record: StoredRecord) -> Failure:
    return Failure(**record.content)
