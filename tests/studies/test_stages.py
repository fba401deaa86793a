"""A stage whose code changes gets a new version, or somebody says that its numbers stay."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from polyhead.studies.stages import STAGES, Stage

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from stages import RECORDED, SOURCE, code_hash, current, plain_code, undeclared  # noqa: E402


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


# Files that decide no number that a run keeps: errors, reading and writing, names, text, and what other commands compute anew.
FREE_OF_NUMBERS = (
    "**/__init__.py",
    *(f"core/{name}.py" for name in ("arguments", "errors", "escaping", "exclusive", "files", "progress", "records")),
    *(f"core/{name}.py" for name in ("lease_files", "leases", "processes", "settings_file", "store", "store_kind", "values")),
    *(
        f"compression/{name}.py"
        for name in (
            "embedding_rows",
            "scripts",
            "segmentation",
            "subword_choice",
            "trimmed_tokenizer",
            "vocabulary",
            "latency*",
            "plan_sizes",
            "timing",
            "budget",
            "checkpoint_size",
            "plan_*",
        )
    ),
    *(
        f"models/{name}.py"
        for name in (
            "checks",
            "encoding_choice",
            "environment",
            "graphs",
            "loader_hook",
            "model_card",
            "names",
            "other_records",
            "own_file",
            "recorded_task",
            "sources",
            "trained_plans",
        )
    ),
    *(
        f"selection/{name}.py"
        for name in ("agreement", "closeness", "comparison", "curves", "judged_orders", "oracle", "order_quality")
    ),
    *(f"selection/{name}.py" for name in ("rank_figures", "score_rows", "sharing")),
    *(
        f"studies/{name}.py"
        for name in (
            "context",
            "crossed_orders",
            "distillation",
            "drawing",
            "elastic*",
            "exporting",
            "failures",
            "kept",
            "pipeline",
            "plan_rounds",
            "oracle_candidates",
            "shrink*",
            "shrunk",
            "stages",
            "study_*",
            "tagger",
            "tagger_facts",
        )
    ),
    "learning/masked_texts.py",
    "studies/worker*.py",
    "studies/ray_*.py",
    "core/toml_lines.py",
)
NOT_OF_A_RUN = ("report", "cli", "doctor")


def test_every_file_is_in_a_stage_or_said_to_be_free_of_numbers() -> None:
    def matched(patterns: Iterable[str]) -> set[Path]:
        found = {pattern: set(SOURCE.glob(pattern)) for pattern in patterns}
        assert [pattern for pattern, paths in found.items() if not paths] == []
        return set().union(*found.values())

    staged, free = matched(pattern for stage in STAGES.values() for pattern in stage.files), matched(FREE_OF_NUMBERS)
    every = {path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in NOT_OF_A_RUN}
    assert sorted(every - staged - free) == [], "name them in studies/stages.py, or here"
    assert {path for path in staged & free if path.name != "__init__.py"} == set()
