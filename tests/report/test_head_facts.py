"""What the page's script is given: figures rounded but not changed, sentences in their direction, room kept."""

import base64
from pathlib import Path

import numpy as np
from report.page_case import write_run

from polyhead.report.finished_run import finished_run
from polyhead.report.head_facts import head_facts


def test_figures_are_those_of_the_files(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    facts = head_facts(run, room=10**7)
    assert run.heads is not None
    assert facts["slimmed"] == []
    assert [own["seed"] for own in facts["seeds"]] == [42, 43]
    assert facts["seeds"][0]["pruned"] == run.first["ranking"][:4]
    lowest = run.first["ranking"][0].split(".")
    assert facts["seeds"][0]["places"][int(lowest[0])][int(lowest[1])] == 1
    for shown, own in zip(facts["languages"], run.heads["languages"], strict=True):
        np.testing.assert_allclose(shown["scores"], own["scores"]["gradient"], rtol=0.005)
        np.testing.assert_allclose(shown["difference"], own["effects"]["difference"], atol=0.005)
        np.testing.assert_allclose(
            np.array(shown["shares"]["next"]["values"]) / 1000, own["attention"]["shares"]["next"], atol=6e-4
        )
        for packed, example in zip(shown["examples"], own["examples"], strict=True):
            weights = np.array(example["weights"])
            found = np.frombuffer(base64.b64decode(packed["weights"]), dtype=np.uint8).reshape(weights.shape) / 255
            np.testing.assert_allclose(found, weights, atol=0.003)
    relations = facts["languages"][1]["relations"]
    assert [own["n"] for own in relations] == sorted((own["n"] for own in relations), reverse=True)


def test_direction_is_that_of_the_letters(tmp_path: Path) -> None:
    facts = head_facts(finished_run(write_run(tmp_path)), room=10**7)
    found = {own["language"]: own["examples"][0]["direction"] for own in facts["languages"]}
    assert found == {"en": "ltr", "de": "ltr", "ar": "rtl", "he": "rtl", "zh-Hans": "ltr"}


def test_what_has_no_room_goes_examples_last_and_is_named(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    whole = head_facts(run, room=10**7)
    some = head_facts(run, room=60_000)
    assert "second example sentences" in some["slimmed"]
    assert all(len(own["examples"]) <= 1 for own in some["languages"])
    least = head_facts(run, room=0)
    assert least["languages"][1]["relations"] == [] != whole["languages"][1]["relations"]
    assert all(own["examples"] == [] for own in least["languages"])
    assert least["languages"][0]["difference"] == whole["languages"][0]["difference"]


def test_a_run_without_a_profile_says_so(tmp_path: Path) -> None:
    facts = head_facts(finished_run(write_run(tmp_path, profile=False)), room=10)
    assert (facts["measured"], facts["languages"], facts["method"]) == (False, [], "gradient")


def test_what_ranked_the_run_is_not_what_profiled_it(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    run.first["ranking_cost"]["method"] = "shapley"
    facts = head_facts(run, room=10**7)
    assert (facts["ranked_by"], facts["method"]) == ("shapley", "gradient")
