"""A stage whose code changes gets a new version, or somebody says that its numbers stay."""

import json
import sys
from pathlib import Path

import pytest

from polyhead.studies.stages import STAGES, Stage

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from stages import RECORDED, code_hash, current, plain_code, undeclared  # noqa: E402


def test_every_stage_is_recorded_as_its_code_is() -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert undeclared(recorded) == []
    assert recorded == current(), "run python scripts/stages.py"


def test_changed_code_needs_a_new_version() -> None:
    old = current()
    old["scoring"]["sha256"] = "0" * 64
    (line,) = undeclared(old)
    assert line.startswith("stage 'scoring': its code has changed")
    old["scoring"]["version"] -= 1
    assert undeclared(old) == []


def test_comments_docstrings_and_formatting_do_not_count() -> None:
    one = plain_code('"""Text."""\n\ndef f(x: int) -> int:\n    """Twice."""\n    return x * 2  # why\n')
    assert one == plain_code("def f(x:int)->int:\n\n    return (x\n            * 2)\n")
    assert one != plain_code("def f(x: int) -> int:\n    return x * 3\n")
    assert one != plain_code('def f(x: int) -> int:\n    return "x * 2"\n')


def test_a_pattern_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        code_hash(Stage(1, ("nowhere.py",)), tmp_path)
    assert {"reading", "scoring", "screening", "training", "evaluation", "head analysis"} == set(STAGES)
