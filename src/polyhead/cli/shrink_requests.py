"""The request of `polyhead shrink`: each field is an option, the docstring is the help text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from polyhead.cli.options import (
    DataOption,
    Files,
    JsonOption,
    LimitOption,
    Machine,
    ModelArgument,
    Reading,
    RevisionOption,
    SeedOption,
    Settings,
    Shown,
    TaskOption,
)
from polyhead.core.errors import SettingError
from polyhead.core.settings_file import Many
from polyhead.studies.shrink_spec import ShrinkSpec


@dataclass(frozen=True, kw_only=True)
class ShrinkRequest:
    """Make a tagger as fast or as small as asked, at the least loss in its languages.

    Trims the vocabulary to --text and --corpus, then prunes the heads and feed-forward neurons that matter least; a layer may
    lose all of either. If a language then loses more than --max-loss points on dev, it says what can be had within that loss and
    writes nothing (exit code 1); the same command with --best-effort writes that model without searching again. Run the same
    command again to continue after a stop.

    Nothing is trained, unless --distil says for how long. A model of fit --elastic takes a plan that it was trained under.
    """

    model: ModelArgument
    dev: Annotated[Many[str], Shown("Labelled dev text, one for each language: de=DEV, or ud/de_gsd.", "REF...", positional=True)]
    spec: Annotated[ShrinkSpec, Settings(ShrinkSpec)]
    out: Annotated[Path | None, Shown("Folder for the smaller model.", "FOLDER")] = None
    languages: Annotated[Many[str], Shown("Languages that must have dev text (and text to trim by).", "CODE...")] = ()
    text: Annotated[
        Many[str], Shown("Text to trim the vocabulary by: plain text or CoNLL-U, of every language.", "LANG=FILE...")
    ] = ()
    corpus: Annotated[Many[str], Shown("Corpora to trim it by, such as ud/de_gsd: their train split.", "NAME...")] = ()
    best_effort: Annotated[bool, Shown("Write the best model within --max-loss, also if it is not what was asked for.")] = False
    dry_run: Annotated[bool, Shown("Print the plan with predicted figures, and write nothing.")] = False
    task: Annotated[TaskOption, Shown("pos, ner, slots, nli or classification; as in training unless given.")] = None
    data: DataOption = None
    limit: LimitOption = None
    files: Files
    reading: Reading
    revision: RevisionOption = None
    machine: Machine
    seed: SeedOption = 42
    json: JsonOption = False

    def __post_init__(self) -> None:
        if self.out is None and not self.dry_run:
            raise SettingError("--out: required; give --out FOLDER, or --dry-run to see the plan only")
