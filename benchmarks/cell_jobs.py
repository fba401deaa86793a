"""Benchmarks made of cells: which are there, which are made next, and the command lines for it.

Any number of processes may run beside one another and be stopped: a cell is made by one of them (`once` of `e5.py`), and its
unfinished training is kept in a file of its name.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from e5 import cell_file, once
from environment import environment, rounded, write


@dataclass(frozen=True)
class Job:
    """One cell of a benchmark with several kinds.

    Attributes:
        kind: Its kind.
        name: Its name.
        needs: Cells that have to be there first.
        work: Writes the cell; gets a file for unfinished training, which is deleted afterwards.
        passes: What it costs, for an estimate.
    """

    kind: str
    name: str
    needs: tuple[Path, ...]
    work: Callable[[Path], None]
    passes: float = 0.0


def parse_kinds(parser: argparse.ArgumentParser, kinds: Sequence[str]) -> argparse.Namespace:
    """The arguments, some of the kinds of cells among them; none means all."""
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"some of {', '.join(kinds)}")
    options = parser.parse_args()
    if unknown := {*options.kinds} - {*kinds}:
        parser.error(f"unknown kind {min(unknown)}; expected {', '.join(kinds)}")
    return options


def make(wanted: Sequence[Job], cells: Path, *, unfinished: Path) -> None:
    """Do every job whose cell is not there, in their order, until none is left that can be done here.

    A job waits for the cells that it needs, which another process may be making. Those that still wait at the end are counted on
    stderr.

    Args:
        wanted: The jobs, in their order.
        cells: Folder of the cells.
        unfinished: Folder of unfinished trainings.
    """
    while True:
        left = [job for job in wanted if not cell_file(cells, job.name).is_file()]
        for job in filter(_is_ready, left):
            path = cell_file(cells, job.name)
            once(path, partial(_work, job, unfinished / f"{job.name}.partial"))
            if path.is_file():
                break  # the most urgent one of those that are ready now is next
        else:
            break
    if waiting := [job for job in left if not _is_ready(job)]:
        first = next(path for path in waiting[0].needs if not path.is_file())
        print(f"cells that wait for others: {len(waiting)}; {waiting[0].name} for {first.name}", file=sys.stderr)


def _is_ready(job: Job) -> bool:
    return all(path.is_file() for path in job.needs)


def _work(job: Job, resume_file: Path) -> None:
    resume_file.parent.mkdir(parents=True, exist_ok=True)
    job.work(resume_file)
    resume_file.unlink(missing_ok=True)


def counted(paths: Sequence[Path]) -> str:
    """How many of the cells are there."""
    return f"{sum(path.is_file() for path in paths)} of {len(paths)} cells"


def estimate(wanted: Sequence[Job], cells: Path, *, seconds: float) -> str:
    """A line for every kind, and one for all: cells there, and hours of one thread to go.

    Args:
        wanted: The jobs.
        cells: Folder of the cells.
        seconds: Of a pass on one thread.
    """
    there, every, hours = Counter[str](), Counter[str](), defaultdict[str, float](float)
    for job in wanted:
        is_done = cell_file(cells, job.name).is_file()
        every[job.kind] += 1
        there[job.kind] += is_done
        hours[job.kind] += 0 if is_done else job.passes * seconds / 3600
    lines = [
        f"{kind}: {there[kind]} of {n} cells; about {hours[kind]:.1f} hours of one thread to go" for kind, n in every.items()
    ]
    return "\n".join([*lines, f"together: {there.total()} of {every.total()} cells; about {sum(hours.values()):.1f} hours"])


def stage_parser(about: str | None, stages: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The command line of a benchmark with the stages `cells` and `table`, and perhaps others, for `run_stage`."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("stage", nargs="?", choices=["cells", "table", *stages])
    parser.add_argument("--list", action="store_true", help="count the cells and stop")
    parser.add_argument("--try", action="store_true", dest="trial", help="a few sentences, few cells, in runs/: does it run?")
    return parser


def run_stage(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    wanted: Sequence[Job],
    cells: Path,
    *,
    unfinished: Path,
    seconds: float,
    table: Callable[[], Path],
    trial: Callable[[], object],
    stages: Mapping[str, Callable[[], object]] | None = None,
) -> None:
    """Count cells, make those that are not there on one thread, write the table, or try it out, as the options say.

    Args:
        parser: From `stage_parser`.
        options: What it parsed.
        wanted: The cells, in their order.
        cells: Their folder.
        unfinished: Folder of unfinished trainings.
        seconds: Of a pass, for the estimate.
        table: Writes the table.
        trial: Makes a small table to print.
        stages: Work of the other stages.
    """
    others = stages or {}
    if options.list:
        print(estimate(wanted, cells, seconds=seconds))
    elif options.stage == "cells":
        torch.set_num_threads(1)
        make(wanted, cells, unfinished=unfinished)
    elif options.stage == "table":
        print(f"written to {table()}", file=sys.stderr)
    elif options.stage in others:
        others[options.stage]()
    elif options.trial:
        print(rounded(trial()))
    else:
        parser.error(f"give {', '.join(['cells', 'table', *others])}, --list or --try")


def write_table(name: str, about: str | None, *, seed: int, **tables: object) -> Path:
    """Write `results/NAME.json`: the machine, the third paragraph of the script's text, and the tables."""
    content = {"environment": environment(seed=seed), "work": (about or "").split("\n\n")[2], **tables}
    return write(name, rounded(content))
