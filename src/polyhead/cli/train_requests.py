"""Requests of the commands that fine-tune; omitted options take the default of the protocol or of the settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from polyhead.cli.options import JsonOption, Machine, Settings, Shown, comma_separated
from polyhead.core.errors import SettingError
from polyhead.core.settings_file import Many
from polyhead.core.specs import Seed, Whole
from polyhead.studies.arms import expand
from polyhead.studies.elastic_spec import ElasticSpec
from polyhead.studies.settings import PRESET, FitSettings, RunSettings, run_settings

OutOption = Annotated[Path, Shown("Folder for the results; run again to continue.", "FOLDER")]
ConfigOption = Annotated[Path | None, Shown("Options from a file: the same names, or tables train and search.", "FILE.toml")]
OneSeedOption = Annotated[Seed | None, Shown("Random seed of a new classifier, data order and dropout; 42 unless given.")]


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """Fine-tune on the source, rank heads, find how many to prune, prune, and test in every target language.

    Writes result.json, scores.tsv, heads.json, the pruned model in model/, and report.html and report.md to the --out folder.
    """

    settings: Annotated[RunSettings, Settings(run_settings, PRESET)]
    out: OutOption
    config: ConfigOption = None
    seed: OneSeedOption = None
    seeds: Annotated[Many[Seed], Field(min_length=1), Shown("Several seeds, for example 42 43 44, instead of --seed.")] = ()
    controls: Annotated[Many[str], Shown("Controls to add: random, highest, depth, noise.")] = ()
    head_analysis: Annotated[Whole, Shown("Dev sentences per language for heads.json; 0 disables.")] = 40
    no_text: Annotated[bool, Shown("Leave example sentences out of heads.json, for text that may not be shared.")] = False
    machine: Machine
    json: JsonOption = False

    def __post_init__(self) -> None:
        expand(self.settings, seeds=self.chosen_seeds, controls=self.chosen_controls)  # refuses what is not allowed

    @property
    def chosen_seeds(self) -> tuple[int, ...]:
        """The seeds of the run.

        Raises:
            SettingError: `--seed` and `--seeds` are both given.
        """
        if self.seed is not None and self.seeds:
            raise SettingError(f"--seed {self.seed} and --seeds {' '.join(map(str, self.seeds))}: give one of the two")
        return self.seeds or (42 if self.seed is None else self.seed,)

    @property
    def chosen_controls(self) -> list[str]:
        """The controls of the run, which commas may join.

        Raises:
            SettingError: A name is missing beside a comma.
        """
        return comma_separated("--controls", self.controls)


@dataclass(frozen=True, kw_only=True)
class FitRequest:
    """Fine-tune a tagger on the source and save it; run the same command again to continue after a stop.

    With --nested K it fine-tunes twice: once to rank the heads on the sources' dev sets, and once with 0 to K of the lowest
    masked in every sentence. polyhead prune then removes any number of them up to K without training.

    With --elastic it also fine-tunes twice, and masks heads, neurons and layers of nested plans, down to a model --speedup times
    as fast. polyhead shrink then takes any speed or size up to that without training.
    """

    settings: Annotated[FitSettings, Settings(FitSettings)]
    out: OutOption
    nested: Annotated[
        Whole | None,
        Shown("Train so that any number of heads up to K can be pruned afterwards; whole groups where heads share keys.", "K"),
    ] = None
    elastic: Annotated[bool, Shown("Train so that polyhead shrink can take any speed or size without training.")] = False
    sizes: Annotated[ElasticSpec, Settings(ElasticSpec)]
    config: ConfigOption = None
    seed: OneSeedOption = None
    machine: Machine
    json: JsonOption = False

    def __post_init__(self) -> None:
        if self.elastic and self.nested is not None:
            raise SettingError(f"--elastic and --nested {self.nested}: each decides what is masked; give one of the two")
        if not self.elastic and self.sizes != ElasticSpec():
            raise SettingError("--speedup, --batch, --length and --taught go with --elastic; add it, or leave them out")
