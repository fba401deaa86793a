"""`polyhead study work`: one more worker for the studies of a store."""

from dataclasses import asdict

from polyhead.cli.console import Console
from polyhead.cli.exit_codes import CHECK_FAILED, DONE
from polyhead.cli.inputs import set_threads
from polyhead.cli.study_requests import StudyWorkRequest
from polyhead.core.values import counted
from polyhead.studies.study_run import work_study
from polyhead.studies.workers import WorkDone


def study_work(request: StudyWorkRequest, console: Console) -> int:
    """Work, then say what was done."""
    set_threads(request.machine.threads)
    found = work_study(
        request.store, names=request.study, data=request.data, device=request.machine.device, progress=console.progress
    )
    document = {"schema": 1, "store": str(request.store), **asdict(found)}
    console.result(document, "\n".join([*outcome_lines(found), f"store: {request.store}"]))
    return CHECK_FAILED if found.failed else DONE


def outcome_lines(found: WorkDone) -> list[str]:
    """What a worker did, and what failed."""
    said = [f"{counted(found.done, 'cell')} run, {found.found:,} already there or by others, {len(found.failed):,} failed"]
    said += [f"failed {failure.times} x: {failure.name}: {failure.what}" for failure in found.failed]
    if found.discarded:
        said.append(f"{counted(found.discarded, 'result')} of this worker came too late and had been recorded by another")
    return said
