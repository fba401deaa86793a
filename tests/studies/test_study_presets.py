"""Every preset is a study, costs what it says, and covers the paper's own grid."""

import csv
import re
from pathlib import Path

import pytest

from polyhead.core.errors import UnknownNameError
from polyhead.data.corpora import corpus
from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_file import StudySpec, expand_study, parse_study
from polyhead.studies.study_plan import plan
from polyhead.studies.study_presets import STUDIES, study_preset


def preset(name: str) -> StudySpec:
    return parse_study(study_preset(name), f"{name}.toml")


@pytest.mark.parametrize("name", STUDIES)
def test_a_preset_is_a_study_of_its_name_whose_cells_can_run(name: str) -> None:
    study = preset(name)
    assert study.name == name
    for cell in expand_study(study):
        cell.settings()


@pytest.mark.parametrize("name", STUDIES)
def test_a_preset_says_what_it_costs(name: str) -> None:
    found = plan(expand_study(preset(name)))
    said = f"# Cost: {found.cells:,} cells, {found.trainings:,} fine-tunings at most, {found.full:,} of them with all heads.\n"
    assert said in study_preset(name)


@pytest.mark.parametrize("name", STUDIES)
def test_a_preset_explains_itself_in_lines_that_fit(name: str) -> None:
    lines = study_preset(name).splitlines()
    assert max(map(len, lines)) <= 130
    assert lines[0].startswith("# ")
    assert sum("#" in line for line in lines) >= 10


@pytest.mark.parametrize("name", STUDIES)
def test_what_a_comment_offers_is_allowed(name: str) -> None:
    """A key that is commented out may be put to use."""
    text = study_preset(name)
    offered = re.findall(r"^# ((?:train_limit|methods|data|controls) = .*)$", text, flags=re.MULTILINE)
    for line in offered:
        key = line.partition(" ")[0]
        without = re.sub(rf"^{key} = .*$", "", text, count=1, flags=re.MULTILINE)
        if "noise" not in line:  # which needs another search
            assert expand_study(parse_study(without.replace(f"# {line}", line), "f"))


def _languages(cells: tuple[StudyCell, ...], task: str, setting: str) -> set[tuple[str, str]]:
    def language(name: str) -> str:
        return corpus(name).language.partition("-")[0]

    return {
        (language(cell.sources[0]), language(target))
        for cell in cells
        for target in cell.targets
        if (cell.task, cell.setting) == (task, setting)
    }


@pytest.mark.parametrize(("name", "task"), [("pos", "pos"), ("slots", "slots"), ("paper", "pos"), ("paper", "slots")])
@pytest.mark.parametrize("setting", ["cross-lingual", "multi-lingual"])
def test_the_pairs_of_the_paper_are_there(name: str, task: str, setting: str, shared: Path) -> None:
    with (shared / "paper/scores.tsv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if (row["task"], row["setting"]) == (task, setting)]
    assert {(row["source"], row["target"]) for row in rows} <= _languages(expand_study(preset(name)), task, setting)


@pytest.mark.parametrize("name", [name for name in STUDIES if name != "small"])
def test_paper_holds_the_models_of_every_other_preset(name: str) -> None:
    whole = {(cell.task, cell.model, cell.sources[0], cell.setting) for cell in expand_study(preset("paper"))}
    assert {(cell.task, cell.model, cell.sources[0], cell.setting) for cell in expand_study(preset(name))} <= whole


def test_an_unknown_preset_is_named_with_its_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"preset .smal.: did you mean .small.\?"):
        study_preset("smal")
