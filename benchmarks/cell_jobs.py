"""Benchmarks made of cells: which are there, which are made next, and the command lines for it.

Any number of processes may run beside one another and be stopped: a cell is made by one of them (`once` of `e5.py`), and its
unfinished training is kept in a file of its name.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from e5 import cell_file, once
from environment import environment, rounded, write


@dataclass(frozen=True)
class Job:
    """One cell of a benchmark with several kinds.

    Attributes:
        kind: Its kind.
        name: Its name.
        needs: Name of the cell that it needs first; None for none.
        work: Writes the cell; gets a file for unfinished training, which is deleted afterwards.
        passes: What it costs, for an estimate.
    """

    kind: str
    name: str
    needs: str | None
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
    """Do every job whose cell is not there and whose needed cell is.

    Args:
        wanted: The jobs, in their order.
        cells: Folder of the cells.
        unfinished: Folder of unfinished trainings.
    """
    for job in wanted:
        is_ready = job.needs is None or cell_file(cells, job.needs).is_file()
        if is_ready and not cell_file(cells, job.name).is_file():
            once(cell_file(cells, job.name), partial(_work, job, unfinished / f"{job.name}.partial"))


def _work(job: Job, resume_file: Path) -> None:
    resume_file.parent.mkdir(parents=True, exist_ok=True)
    job.work(resume_file)
    resume_file.unlink(missing_ok=True)


def counted(paths: Sequence[Path]) -> str:
    """How many of the cells are there."""
    return f"{sum(path.is_file() for path in paths)} of {len(paths)} cells"


def stage_parser(about: str | None) -> argparse.ArgumentParser:
    """The command line of a benchmark with the stages `cells` and `table`, for `run_stage`."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("stage", nargs="?", choices=["cells", "table"])
    parser.add_argument("--list", action="store_true", help="count the cells and stop")
    parser.add_argument("--try", action="store_true", dest="trial", help="a few sentences, two cells, in runs/: does it run?")
    return parser


def run_stage(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    cells: Mapping[Path, Callable[[], object]],
    *,
    table: Callable[[], Path],
    trial: Callable[[], object],
) -> None:
    """Count cells, make those that are not there, write the table, or try it out, as the options say.

    Args:
        parser: From `stage_parser`.
        options: What it parsed.
        cells: The work of every cell, by its file, in their order.
        table: Writes the table.
        trial: Makes a small table to print.
    """
    if options.list:
        print(counted([*cells]))
    elif options.stage == "cells":
        for path, work in cells.items():
            if not path.is_file():
                once(path, work)
    elif options.stage == "table":
        print(f"written to {table()}", file=sys.stderr)
    elif options.trial:
        print(rounded(trial()))
    else:
        parser.error("give cells, table, --list or --try")


def write_table(name: str, about: str | None, *, seed: int, **tables: object) -> Path:
    """Write `results/NAME.json`: the machine, the third paragraph of the script's text, and the tables."""
    content = {"environment": environment(seed=seed), "work": (about or "").split("\n\n")[2], **tables}
    return write(name, rounded(content))
