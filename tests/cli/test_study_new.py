"""`polyhead study new`: a study file on stdout."""

import json

import pytest

from polyhead.cli.main import main
from polyhead.studies.study_presets import STUDIES, study_preset


@pytest.mark.parametrize("name", STUDIES)
def test_it_prints_the_preset_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "new", name]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == (study_preset(name), "")


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "new", "small", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == study_preset("small")


def test_help_names_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "new", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert all(name in said for name in STUDIES)


def test_an_unknown_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "new", "smal"]) == 2
    assert "preset 'smal': did you mean 'small'?" in capsys.readouterr().err
