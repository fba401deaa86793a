"""Names of models: ids on the Hub, or folders."""

from pathlib import Path

import pytest

from polyhead.models.names import is_hub_id, is_local


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("org/model", True),
        ("xlm-roberta-base", True),
        ("a/b/c", False),
        ("./a", False),
        ("/a", False),
        ("~/a", False),
        ("", False),
    ],
)
def test_the_form_of_a_hub_id(name: str, expected: bool) -> None:
    assert is_hub_id(name) == expected
    assert is_local(name) != expected


def test_a_folder_that_is_here_is_local_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not is_local("models/mbert")
    (tmp_path / "models" / "mbert").mkdir(parents=True)
    assert is_local("models/mbert")
    assert is_local("models")
