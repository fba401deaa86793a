"""`polyhead study run`: a study from its file; with `--dry-run`, what it needs."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import torch

from polyhead.cli.console import Console, wrapped
from polyhead.cli.exit_codes import CHECK_FAILED, DONE
from polyhead.cli.inputs import note_sources, set_threads
from polyhead.cli.outputs import check_folder
from polyhead.cli.study_requests import StudyRunRequest
from polyhead.cli.study_work import outcome_lines
from polyhead.core.errors import SettingError
from polyhead.core.store_kind import check_store
from polyhead.core.values import counted, duration
from polyhead.data.references import references
from polyhead.report.tables import markdown
from polyhead.studies.ray_crew import Cluster
from polyhead.studies.ray_engine import run_on_ray
from polyhead.studies.study_estimates import few_cells, finished_cells, gigabytes, stage_times, train_sentences
from polyhead.studies.study_file import StudySpec, expand_study, read_study, study_grids
from polyhead.studies.study_folder import add_study
from polyhead.studies.study_plan import Plan, plan
from polyhead.studies.study_run import work_study
from polyhead.studies.study_store import KIND, SCHEMA


def study_run(request: StudyRunRequest, console: Console) -> int:
    """Read the file, then show its plan or run it."""
    check_folder("--out", request.out)
    study = read_study(request.study)
    if request.dry_run:
        return show_plan(study, request, console)
    sources = [*dict.fromkeys(name for cell in expand_study(study) for name in cell.sources)]
    note_sources(references(sources, "source", folder=study.folder), console, holds_out=True, tests_too=True)
    cluster = cluster_of(request)
    if cluster is None:
        set_threads(request.machine.threads, shared_by=request.workers or 1)
    name = add_study(
        request.study,
        request.out,
        data=request.data,
        keep_weights=request.keep_weights,
        test_every_k=request.test_every_k,
    )
    data, device, progress = request.data, request.machine.device, console.progress
    if cluster is not None:
        found = run_on_ray(request.out, cluster, names=[name], data=data, device=device, progress=progress)
    else:
        with helped(request, name):
            found = work_study(request.out, names=[name], data=data, device=device, progress=progress)
    document = {"schema": 1, "study": name, "store": str(request.out), **asdict(found)}
    left = [f"store: {request.out}", f"tables: polyhead study table {request.out}"]
    console.result(document, "\n".join([f"study {name}:", *outcome_lines(found), *left]))
    return CHECK_FAILED if found.failed else DONE


def cluster_of(request: StudyRunRequest) -> Cluster | None:
    """The cluster that the study runs on, or None for this machine without Ray.

    Raises:
        SettingError: Options are given that do not belong together.
    """
    if request.ray is None:
        if request.cpus_per_task is not None or request.gpus_per_task is not None:
            raise SettingError("--cpus-per-task and --gpus-per-task: give them with --ray, or leave them out")
        return None
    if request.machine.threads is not None:
        raise SettingError("--threads: a worker of --ray has as many as processors: give --cpus-per-task instead")
    return Cluster(request.ray, gpus=request.gpus_per_task, cpus=request.cpus_per_task or 1.0, workers=request.workers)


@contextmanager
def helped(request: StudyRunRequest, name: str) -> Iterator[None]:
    """The other workers of this command, which end when the study is done or when the block does."""
    threads = ["--threads", str(torch.get_num_threads()), "--device", request.machine.device]
    data = [] if request.data is None else ["--data", str(request.data)]
    program = [sys.executable, "-c", "from polyhead.cli.main import main; raise SystemExit(main())"]
    command = [*program, "study", "work", str(request.out), "--study", name, *threads, *data, "--json"]
    others = [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range((request.workers or 1) - 1)
    ]
    try:
        yield
        for other in others:
            other.wait()
    finally:
        for other in others:
            other.terminate()
            other.wait()


def show_plan(study: StudySpec, request: StudyRunRequest, console: Console) -> int:
    """Print what the study needs and what the store has of it; writes nothing."""
    if request.out.is_dir() and any(request.out.iterdir()):
        check_store(request.out, kind=KIND, schema=SCHEMA)
    cells, records = expand_study(study), few_cells(request.out)
    found = plan(
        cells,
        finished=finished_cells(request.out),
        times=stage_times(request.out, records),
        sentences=train_sentences(records),
        model_gigabytes=gigabytes(cells),
        keep=request.keep_weights,
        workers=request.workers or 1,
    )
    grids = {name: len(own) for name, own in study_grids(study)}
    console.result({"schema": 1, "study": study.name, "grids": grids, "plan": asdict(found)}, plan_text(study, found))
    return DONE


def plan_text(study: StudySpec, found: Plan) -> str:
    """The plan for people."""
    grids = study_grids(study)
    shared = sum(len(own) for _, own in grids) - found.cells
    rows = [[name, f"{len(own):,}", ", ".join(dict.fromkeys(cell.setting for cell in own))] for name, own in grids]
    costs = [
        ["needed, at most", f"{found.trainings:,}", f"{found.full:,} of them with all heads"],
        ["already there", f"{found.there:,}", f"of {counted(found.finished, 'finished cell')}"],
        ["left, at most", f"{found.left:,}", ""],
        ["the paper's released procedure, for every cell and target", f"{found.released:,}", _times(found.released, found)],
        ["the same, each source model shared by its targets", f"{found.released_shared:,}", _times(found.released_shared, found)],
    ]
    said = [
        f"Study {study.name}: {counted(found.cells, 'cell')}, {found.finished:,} finished"
        + (f"; {counted(shared, 'cell')} named by two grids, each run once" if shared else ""),
        markdown(["grid", "cells", "settings"], rows),
        markdown(["fine-tunings", "number", ""], costs),
        _cost(found),
        "\n".join(f"- guess: {guess}" for guess in found.guesses),
    ]
    return "\n\n".join(wrapped(part) for part in said if part)


def _cost(found: Plan) -> str:
    if not found.left:
        return "Every cell is finished: nothing is left to train."
    disk = f"{size(found.gigabytes)} on disk at most, {size(found.working_gigabytes)} of them for work in progress"
    return f"About {duration(found.seconds)} for one process, at most; {disk}."


def _times(other: int, found: Plan) -> str:
    return f"{other / found.trainings:.1f} × as many" if found.trainings else ""


def size(gigabytes: float) -> str:
    """A size on disk.

    >>> size(0.0123), size(12.34)
    ('12 MB', '12.3 GB')
    """
    return f"{1000 * gigabytes:.0f} MB" if gigabytes < 1 else f"{gigabytes:.1f} GB"
