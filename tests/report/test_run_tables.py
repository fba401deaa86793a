"""The table by seed holds what a paper prints: every seed, the mean, and the standard deviation with n − 1."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from record_case import cell, record

from polyhead.report.page import page
from polyhead.report.record import RunRecord
from polyhead.report.run_tables import seed_table


def rows(table: str) -> list[list[str]]:
    return [[field.strip() for field in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def cells() -> list[dict[str, Any]]:
    found = [cell(1, gain=1.0), cell(2, gain=3.0), cell(3, chosen=0)]
    found[1]["targets"][0]["unpruned"]["accuracy"] = 52.0
    return [*found, cell(1, "random", gain=-9.0)]


def several() -> RunRecord:
    return record(*cells())


def test_every_seed_then_mean_and_deviation() -> None:
    german = [row for row in rows(seed_table(several())) if row[0] == "ud/de_gsd"]
    assert [row[1:] for row in german] == [
        ["1", "50.00", "51.00", "+1.00", "2"],
        ["2", "52.00", "53.00", "+1.00", "2"],
        ["3", "50.00", "50.00", "+0.00", "0"],
        ["mean", "50.67", "51.33", "+0.67", ""],
        ["standard deviation", "1.15", "1.53", "0.58", ""],
    ], "the deviation of the gain is of the gains, and divides by n − 1"


def test_the_last_block_is_the_mean_over_targets_of_every_seed() -> None:
    last = rows(seed_table(several()))[-5:]
    assert [row[:4] for row in last[:3]] == [
        ["mean over targets", "1", "45.00", "47.00"],
        ["mean over targets", "2", "46.00", "51.00"],
        ["mean over targets", "3", "45.00", "45.00"],
    ]
    assert last[4] == ["mean over targets", "standard deviation", "0.58", "3.06", "2.52", ""]


def test_an_arm_is_not_mixed_with_another() -> None:
    assert "41.00" not in seed_table(several())


def test_a_target_of_its_own_k_keeps_it() -> None:
    own = cells()
    own[0]["targets"][0]["k"] = 7
    assert rows(seed_table(record(*own)))[0][-1] == "7"


def test_one_seed_makes_no_table() -> None:
    assert seed_table(record()) == ""
    assert "## Scores by seed" not in page(record())
    assert "## Scores by seed\n" in page(several())
    assert "Standard deviation over the 3 seeds, with n − 1" in page(several())
