"""`polyhead study status`: what of a store's studies is finished, what runs, and what failed."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from polyhead.cli.console import Console
from polyhead.cli.exit_codes import CHECK_FAILED, DONE
from polyhead.cli.study_requests import StudyStatusRequest
from polyhead.core.escaping import terminal_text
from polyhead.core.values import counted, duration
from polyhead.studies.failures import Failure, read_failures
from polyhead.studies.study_estimates import few_cells, finished_cells, gigabytes, stage_times, train_sentences
from polyhead.studies.study_folder import studies_of
from polyhead.studies.study_plan import plan
from polyhead.studies.worker_status import WorkerStatus, read_workers

_SHOWN: Final = 10


def study_status(request: StudyStatusRequest, console: Console) -> int:
    """Read the store's small files; exit code 1 if something failed."""
    store = request.store
    studies = studies_of(store, request.study)
    finished, records = finished_cells(store), few_cells(store)
    times, sentences = stage_times(store, records), train_sentences(records)
    workers, texts, document = read_workers(store / "workers"), list[str](), {}
    cells = {cell.fingerprint: cell for study in studies.values() for cell in study.cells}
    failures = [failure for name, failure in sorted(read_failures(store / "failures").items()) if name in cells]
    for name, study in studies.items():
        left = plan(
            study.cells,
            finished=finished,
            times=times,
            sentences=sentences,
            model_gigabytes=gigabytes(study.cells),
            keep=study.options.keep_weights,
        ).seconds
        done = sum(cell.fingerprint in finished for cell in study.cells)
        document[name] = {"cells": len(study.cells), "finished": done, "seconds_left": left}
        texts.append(f"study {name}\n" + status_text(finished=done, planned=len(study.cells), workers=workers, seconds_left=left))
    if failures:
        texts.append(status_text(finished=len(finished), failures=failures).split("\n", 1)[1])
    console.result(
        {
            "schema": 1,
            "store": str(store),
            "studies": document,
            "workers": [{**asdict(worker), "gone": worker.is_gone} for worker in workers],
            "failures": [asdict(failure) for failure in failures],
        },
        "\n\n".join(texts),
    )
    return CHECK_FAILED if failures else DONE


def status_text(
    *,
    finished: int,
    planned: int | None = None,
    workers: Sequence[WorkerStatus] = (),
    failures: Sequence[Failure] = (),
    seconds_left: float | None = None,
) -> str:
    """Lines for a terminal.

    Args:
        finished: Cells.
        planned: Cells of the study; None if its file is not known.
        workers: From their status files.
        failures: From the store's records.
        seconds_left: Work left, of one process.
    """
    running = [worker for worker in workers if not worker.is_gone]
    lines = [f"cells: {finished:,}{'' if planned is None else f' of {planned:,}'} finished, {counted(len(failures), 'failure')}"]
    if seconds_left is not None and planned is not None and finished < planned:
        share = seconds_left / max(1, len(running))
        by = f"{counted(len(running), 'worker')} at work" if running else "one process"
        lines.append(f"time left: about {duration(share)} with {by}")
    for worker in running[:_SHOWN]:
        doing = f"works on {worker.job}" if worker.job else "waits for other workers"
        lines.append(f"{worker.worker} on {worker.host}: {doing}; {worker.done:,} done, {worker.failed:,} failed")
    if gone := len(workers) - len(running):
        lines.append(f"{counted(gone, 'worker')} ended without saying so: what they held is taken over")
    for failure in failures[:_SHOWN]:
        lines.append(f"failed: {failure.name}, {counted(failure.times, 'time')}, last at {failure.at}: {failure.what}")
    for what, shown in (("workers", running), ("failures", failures)):
        if len(shown) > _SHOWN:
            lines.append(f"… {len(shown) - _SHOWN:,} more {what} (--json lists all)")
    return "\n".join(map(terminal_text, lines))
