"""The data of a page: figures as they are shown, room kept, what runs share stored once."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report import page_case, profile_case
from report.page_case import write_run
from report.unpack import unpacked

from polyhead.report.document import read_document, write_document
from polyhead.report.finished_run import FinishedRun, finished_run, finished_runs
from polyhead.report.head_facts import head_facts
from polyhead.report.heads_form import HeadsRecord
from polyhead.report.html_page import html_page
from polyhead.report.packing import page_data, weight_bytes


def packed(run: FinishedRun, room: int = 10**7) -> dict[str, Any]:
    return page_data([head_facts(run)], across=None, room=room, text=True)


def opened(run: FinishedRun, room: int = 10**7) -> dict[str, Any]:
    found: dict[str, Any] = unpacked(packed(run, room))[0]
    return found


def test_figures_are_those_of_the_files_as_the_page_shows_them(tmp_path: Path) -> None:
    write_run(tmp_path)
    heads = read_document(tmp_path / "heads.json", HeadsRecord)
    heads.languages[0].scores["gradient"][0][:3] = [0.0, 1.2e-9, -3.4]
    write_document(tmp_path / "heads.json", heads)
    facts = opened(finished_run(tmp_path))
    assert facts["slimmed"] == []
    for shown, own in zip(facts["languages"], heads.languages, strict=True):
        np.testing.assert_allclose(shown["scores"]["gradient"], own.scores["gradient"], rtol=5e-4)
        np.testing.assert_allclose(shown["difference"], own.effects.difference, atol=0.00501)
        np.testing.assert_allclose(shown["estimate"], own.effects.loss_change, rtol=5e-4)
        np.testing.assert_allclose(shown["shares"]["next"]["values"], 100 * np.array(own.attention.shares["next"]), atol=0.501)
        for example, given in zip(shown["examples"], own.examples, strict=True):
            weights = np.array(given.weights)
            found = np.frombuffer(base64.b64decode(example["weights"]), dtype=np.uint8).reshape(weights.shape) / 255
            np.testing.assert_allclose(found, weights, atol=0.003)
            assert example["words"] == given.words


def test_a_head_that_is_gone_is_none_in_every_kind_of_matrix(tmp_path: Path) -> None:
    facts = opened(finished_run(write_run(tmp_path, missing=((2, 4),))))
    own = facts["languages"][1]
    matrices = [facts["seeds"][0]["scores"], facts["seeds"][0]["places"], own["difference"], own["scores"]["gradient"]]
    matrices += [own["shares"]["same"]["values"], own["relations"][0]["to_head"]["values"]]
    for matrix in matrices:
        assert [(i, j) for i, row in enumerate(matrix) for j, value in enumerate(row) if value is None] == [(2, 4)]


def size(facts: object) -> int:
    return len(json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))


def test_what_has_no_room_goes_in_order_and_is_named(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    whole = packed(run)
    some = opened(run, size(whole) - 3000)
    assert some["slimmed"] == ["second example sentences"]
    assert all(len(own["examples"]) == 1 for own in some["languages"])
    fewer = opened(run, size(packed(run, size(whole) - 3000)) - 2000)
    assert fewer["slimmed"] == ["second example sentences", "example sentences of ud/zh_gsdsimp"]
    assert [len(own["examples"]) for own in fewer["languages"]] == [1, 1, 1, 1, 0]
    for room in (size(whole) - 3000, size(whole) // 2):
        assert size(packed(run, room)) <= room + 300  # the names of what was left out come on top
    least = opened(run, 0)
    assert least["languages"][1]["relations"] == [] != opened(run)["languages"][1]["relations"]
    assert all(own["examples"] == [] for own in least["languages"])
    assert least["languages"][0]["difference"] == opened(run)["languages"][0]["difference"]


def test_a_page_without_text_holds_no_word_of_an_example(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    assert "Fahrkarte" in html_page([run])
    page = html_page([run], text=False)
    for sentences in profile_case.SENTENCES.values():
        assert not [word for sentence in sentences for word in sentence.split() if len(word) > 5 and word in page]


def test_weights_become_bytes() -> None:
    assert weight_bytes([[[[0.0, 1.0], [0.5, None]]]]).tolist() == [[[[0, 255], [128, 0]]]]


def test_a_page_of_many_runs_in_many_languages_grows_little_with_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    more = {f"q{letter}": profile_case.SENTENCES["de"] for letter in "abcdefghij"}
    monkeypatch.setattr(profile_case, "SENTENCES", profile_case.SENTENCES | more)
    monkeypatch.setattr(page_case, "TARGETS", (*page_case.TARGETS, *((f"ud/{code}_x", code) for code in more)))
    runs = finished_runs([write_run(tmp_path / f"run-{number}", seed=number, shape=(12, 12)) for number in range(4)])
    data = page_data([head_facts(run) for run in runs], across=None, room=0, text=True)
    # 15 languages: a matrix of scores, one of estimates and three of effects (384 characters each), four of shares (192), names
    assert size(data["runs"][3]) < 15 * 3_540 + 4_000
    assert size(data["shared"]) < 15 * 2 * 150, "names and counts of languages are there once, not once a run"
    assert len(html_page(runs[:4]).encode("utf-8")) - len(html_page(runs[:2]).encode("utf-8")) < 2 * 1_450_000
