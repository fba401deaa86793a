"""Requests of the commands that fine-tune; omitted options take the default of the protocol or of the settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from polyhead.cli.options import FieldsOf, JsonOption, Machine
from polyhead.core.errors import SettingError
from polyhead.core.specs import Seed, Whole
from polyhead.studies.settings import PRESET, FitSettings, RunSettings

OutOption = Annotated[
    Path, typer.Option("--out", metavar="FOLDER", help="Folder for the results; run again to continue.", show_default=False)
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE.toml", help="Options from a file: the same names, or tables train and search."),
]
OneSeedOption = Annotated[
    Seed | None,
    typer.Option("--seed", metavar="N", help="Random seed of a new classifier, data order and dropout; 42 unless given."),
]
_NONE: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """Fine-tune on the source, rank heads, find how many to prune, prune, and test in every target language.

    Writes result.json, scores.tsv, heads.json, the pruned model in model/, and report.html and report.md to the --out folder.
    """

    settings: Annotated[dict[str, Any], FieldsOf(RunSettings, PRESET)]
    out: OutOption
    config: ConfigOption = None
    seed: OneSeedOption = None
    seeds: Annotated[
        list[Seed], typer.Option("--seeds", metavar="N...", help="Several seeds, for example 42 43 44, instead of --seed.")
    ] = _NONE  # type: ignore[assignment]
    controls: Annotated[
        list[str], typer.Option("--controls", metavar="NAME...", help="Controls to add: random, highest, noise.")
    ] = _NONE  # type: ignore[assignment]
    head_analysis: Annotated[
        Whole, typer.Option("--head-analysis", metavar="N", help="Dev sentences per language for heads.json; 0 disables.")
    ] = 40
    no_text: Annotated[
        bool,
        typer.Option("--no-text", help="Leave example sentences out of heads.json, for text that may not be shared."),
    ] = False
    machine: Machine
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class FitRequest:
    """Fine-tune a tagger on the source and save it; run the same command again to continue after a stop."""

    settings: Annotated[dict[str, Any], FieldsOf(FitSettings)]
    out: OutOption
    config: ConfigOption = None
    seed: OneSeedOption = None
    machine: Machine
    json: JsonOption = False


def chosen_seeds(request: RunRequest) -> list[int]:
    """The seeds of the run.

    Raises:
        SettingError: `--seed` and `--seeds` are both given.
    """
    if request.seed is not None and request.seeds:
        raise SettingError(f"--seed {request.seed} and --seeds {' '.join(map(str, request.seeds))}: give one of the two")
    return list(request.seeds) or [42 if request.seed is None else request.seed]
