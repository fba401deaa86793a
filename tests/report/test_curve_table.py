"""Areas in a table: intervals beside each figure, dashes where there is none, regret only with an oracle."""

from report.curve_document import AREA

from polyhead.report.curves import area_table


def test_intervals_stand_beside_their_figures() -> None:
    assert area_table([AREA]).splitlines()[2] == (
        "| gradient, lowest first | 0.9700 | 0.9600 to 0.9800 | +0.1000 | +0.0500 to +0.1500 | – | – |"
    )


def test_an_area_that_cannot_be_had_is_a_dash() -> None:
    row = area_table([AREA | {"area": None, "interval": [None, None]}]).splitlines()[2]
    assert row.startswith("| gradient, lowest first | – | – | +0.1000 |")


def test_regret_has_columns_only_where_an_oracle_was_asked_for() -> None:
    assert "regret" not in area_table([AREA])
    with_oracle = area_table([AREA | {"regret": {"difference": 0.02, "interval": [0.01, 0.03]}}])
    assert "regret" in with_oracle.splitlines()[0]
    assert with_oracle.splitlines()[2].endswith("| +0.0200 | +0.0100 to +0.0300 |")
