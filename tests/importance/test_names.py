"""What settings know of the methods without importing torch."""

import subprocess
import sys
from dataclasses import replace

import pytest

from polyhead.core.errors import SettingError, UnknownNameError
from polyhead.importance.methods import METHODS
from polyhead.importance.names import SIGNS, check_normalisation, sign_of


def test_names_and_signs_are_those_of_the_table() -> None:
    assert {row.name: row.sign for row in METHODS.values()} == SIGNS


def test_a_method_added_by_the_program_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match=r"method 'gradeint': did you mean 'gradient'\?"):
        sign_of("gradeint")
    monkeypatch.setitem(METHODS, "mine", replace(METHODS["ablation"], name="mine"))
    assert sign_of("mine") == "signed"
    with pytest.raises(SettingError, match="method mine: its scores may be negative"):
        check_normalisation("mine", "paper")


def test_settings_need_no_torch() -> None:
    code = "import sys, polyhead.studies.settings; sys.exit(bool({'torch', 'scipy', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
