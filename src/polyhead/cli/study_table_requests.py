"""Requests of the commands that read a study's store: table, plan, report and export."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from polyhead.cli.options import JsonOption, Shown
from polyhead.core.settings_file import Many
from polyhead.core.specs import Objective, Positive, Whole

StoreArgument = Annotated[Path, Shown("Folder of the study's results.", "STORE", positional=True)]
StudyOption = Annotated[Many[str], Shown("Only cells of these studies; all cells of the store unless given.", "NAME...")]
ObjectiveOption = Annotated[
    Objective | None, Shown("Choose k by another rule on dev, best or within:X; a k that was not tested stays blank.", "RULE")
]
FixedOption = Annotated[Whole | None, Shown("This many heads pruned in every cell, whatever dev says.")]
MetricOption = Annotated[
    Literal["accuracy", "chunk_f1", "macro_f1", "span_f1"] | None, Shown("Another metric that the kept counts give.")
]
WithoutOption = Annotated[Many[str], Shown("Languages or corpora to leave out, such as ja or ud/ja_gsd.", "NAME")]


@dataclass(frozen=True, kw_only=True)
class StudyTableRequest:
    """Print the tables of a study's finished cells; no model is needed, and nothing is run.

    The layout paper has the tables of Ma et al. 2021 beside the paper's own figures; long has one row for every gain; cost has
    fine-tunings and seconds. Another rule, another metric and other languages are arithmetic on the counts that the cells have
    kept.
    """

    store: StoreArgument
    study: StudyOption = ()
    layout: Annotated[Literal["paper", "long", "cost"], Shown("How the tables are laid out; cost: what they took.")] = "paper"
    format: Annotated[Literal["md", "latex", "csv", "json"], Shown("Markdown, LaTeX (booktabs), CSV or JSON.")] = "md"
    table: Annotated[str | None, Shown("One table only, by its name; CSV needs it where there are several.", "NAME")] = None
    objective: ObjectiveOption = None
    k: FixedOption = None
    metric: MetricOption = None
    without: WithoutOption = ()
    families: Annotated[bool, Shown("Also means over the branches of language families.")] = False
    out: Annotated[Path | None, Shown("Write to this file instead of the terminal.", "FILE")] = None
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class StudyPlanRequest:
    """Say how many more seeds a study needs to find a gain of a given size with power 0.8, from its own variances."""

    store: StoreArgument
    gain: Annotated[Positive, Shown("The gain to find, in points.")]
    study: StudyOption = ()
    metric: MetricOption = None
    without: WithoutOption = ()
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class StudyReportRequest:
    """Write one page about a study, which opens from disk and needs no network: tables, pictures and every cell."""

    store: StoreArgument
    study: StudyOption = ()
    out: Annotated[Path | None, Shown("The page; STORE/report.html unless given.", "PAGE.html")] = None
    markdown: Annotated[Path | None, Shown("Also write the tables as Markdown.", "FILE.md")] = None
    objective: ObjectiveOption = None
    k: FixedOption = None
    metric: MetricOption = None
    without: WithoutOption = ()
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class StudyExportRequest:
    """Give a study's results to other programs: one JSON Lines file for pandas or DuckDB, or runs of MLflow."""

    store: StoreArgument
    out: Annotated[str, Shown("The file; of mlflow NAME.db (SQLite) or a server's address.", "OUT", positional=True)]
    study: StudyOption = ()
    to: Annotated[Literal["jsonl", "mlflow"], Shown("Into what.")] = "jsonl"
    experiment: Annotated[str | None, Shown("Name of MLflow's experiment; that of the store's folder unless given.", "NAME")] = (
        None
    )
    json: JsonOption = False
