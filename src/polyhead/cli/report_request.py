"""What `polyhead report` is asked to do; each field is an option, the docstring the help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from polyhead.cli.options import JsonOption

_NONE: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """Write one page about a finished run, or about several side by side, that opens from disk and needs no network.

    It shows what pruning did and how sure that is, a map of the heads with all that is known of each one, how far rankings
    agree, trials, curves, cost and provenance.
    """

    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="One or more folders that polyhead run wrote.", show_default=False),
    ]
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PAGE.html", help="Where the page goes; RUN/report.html, of several runs report.html."),
    ] = None
    curve: Annotated[
        list[Path], typer.Option("--curve", metavar="FILE...", help="Pruning curves to show: curve.json files of polyhead curve.")
    ] = _NONE  # type: ignore[assignment]
    markdown: Annotated[Path | None, typer.Option("--markdown", metavar="FILE.md", help="Also write the tables as Markdown.")] = (
        None
    )
    pictures: Annotated[
        Path | None, typer.Option("--pictures", metavar="FOLDER", help="Also write every chart as SVG and PNG, for papers.")
    ] = None
    json: JsonOption = False
