"""The page of a study: every link leads somewhere, and nothing on it needs a network."""

import re
from pathlib import Path

import pytest
from fake_study import Fake, changed, write_store

from polyhead.report.study_families import families
from polyhead.report.study_page import study_markdown, study_page
from polyhead.report.study_record import StudyCellRecord, read_cells
from polyhead.report.study_tables import study_tables

pytest.importorskip("altair", reason="the extra report is not installed")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[StudyCellRecord]:
    store = tmp_path_factory.mktemp("store")
    fake = Fake(seeds=(42, 43, 44))
    write_store(store, fake, changed(fake, setting="low-resource", targets=("ud/de_gsd",), tenths=(1, 9), arms=("ranked",)))
    return read_cells(store)


def test_links_lead_to_tables_pictures_and_cells(cells: list[StudyCellRecord]) -> None:
    text = study_page(cells, name="<b>study</b>")
    places = set(re.findall(r' id="([^"]+)"', text))
    links = set(re.findall(r'href="#([^"]+)"', text))
    assert links <= places, links - places
    assert {f"c-{cell.name}" for cell in cells} <= places
    assert any(link.startswith("c-") for link in links)
    assert "&lt;b&gt;study&lt;/b&gt;" in text
    assert "<b>study</b>" not in text
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


def test_a_row_leads_to_its_own_group(tmp_path: Path) -> None:
    """Groups of one source that differ in the setting."""
    fake = Fake(seeds=(42, 43, 44), arms=("ranked",))
    write_store(tmp_path, fake, changed(fake, setting="multi-lingual"))
    found = read_cells(tmp_path)
    text, every = study_page(found, name="x"), families(found)
    assert len({family.source for family in every}) == 1
    (long,) = study_tables(found, layout="long")
    section = text[text.index('id="t-long"') :]
    links = re.findall(r'<tr><td><a href="#g-([^"]+)">', section[: section.index("</details>")])
    assert links == [next(own.key for own in every if own.facts.setting == row["setting"]) for row in long.rows]


def test_cells_show_ranking_and_trials(cells: list[StudyCellRecord]) -> None:
    text = study_page(cells, name="x")
    assert text.count("data-places=") == len(cells)
    assert text.count("data:image/svg+xml;base64,") == 1, "one figure of curves"


def test_markdown_has_the_same_tables(cells: list[StudyCellRecord]) -> None:
    text = study_markdown(cells, name="x")
    assert "## pos: pruned against unpruned" in text
    assert "## Gains" in text
    assert "| fine-tuning |" in text
