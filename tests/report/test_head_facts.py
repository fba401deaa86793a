"""What the page's script is given: figures rounded but not changed, sentences in their direction, room kept."""

import base64
import json
from pathlib import Path

import numpy as np
from report.page_case import edited, write_run

from polyhead.report.finished_run import finished_run
from polyhead.report.head_facts import head_facts
from polyhead.report.page import chosen_heads
from polyhead.report.pictures import text_picture
from polyhead.report.tables import trial_table


def test_figures_are_those_of_the_files(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    facts = head_facts(run, room=10**7)
    assert run.heads is not None
    assert facts["slimmed"] == []
    assert [own["seed"] for own in facts["seeds"]] == [42, 43]
    assert facts["seeds"][0]["pruned"] == run.first.ranking[:4]
    lowest = run.first.ranking[0].split(".")
    assert facts["seeds"][0]["places"][int(lowest[0])][int(lowest[1])] == 1
    for shown, own in zip(facts["languages"], run.heads.languages, strict=True):
        np.testing.assert_allclose(shown["scores"]["gradient"], own.scores["gradient"], rtol=0.005)
        np.testing.assert_allclose(shown["difference"], own.effects.difference, atol=0.005)
        np.testing.assert_allclose(np.array(shown["shares"]["next"]["values"]) / 1000, own.attention.shares["next"], atol=6e-4)
        for packed, example in zip(shown["examples"], own.examples, strict=True):
            weights = np.array(example.weights)
            found = np.frombuffer(base64.b64decode(packed["weights"]), dtype=np.uint8).reshape(weights.shape) / 255
            np.testing.assert_allclose(found, weights, atol=0.003)
    relations = facts["languages"][1]["relations"]
    assert [own["n"] for own in relations] == sorted((own["n"] for own in relations), reverse=True)


def test_direction_is_that_of_the_letters(tmp_path: Path) -> None:
    facts = head_facts(finished_run(write_run(tmp_path)), room=10**7)
    found = {own["language"]: own["examples"][0]["direction"] for own in facts["languages"]}
    assert found == {"en": "ltr", "de": "ltr", "ar": "rtl", "he": "rtl", "zh-Hans": "ltr"}


def test_every_method_of_a_language_is_kept_the_profile_s_own_first(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    assert run.heads is not None
    for own in run.heads.languages:
        gradient = own.scores.pop("gradient")
        own.scores.update({"ablation": gradient[::-1], "gradient": gradient})
    del run.heads.languages[0].scores["gradient"]
    facts = head_facts(run, room=10**7)
    assert facts["methods"] == ["gradient", "ablation"]
    assert [list(own["scores"]) for own in facts["languages"]][:2] == [["ablation"], ["ablation", "gradient"]]


def test_the_ranking_s_method_is_the_run_s_and_not_the_profile_s(tmp_path: Path) -> None:
    run = edited(write_run(tmp_path), lambda record: record["cells"][0]["ranking_cost"].update(method="shapley"))
    facts = head_facts(run, room=10**7)
    assert (facts["method"], facts["methods"]) == ("shapley", ["gradient"])


def size(facts: object) -> int:
    return len(json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))


def test_what_has_no_room_goes_in_order_and_is_named(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    whole = head_facts(run, room=10**7)
    some = head_facts(run, room=size(whole) - 1)
    assert some["slimmed"] == ["second example sentences"]
    assert all(len(own["examples"]) == 1 for own in some["languages"])
    fewer = head_facts(run, room=size(some) - 1000)
    assert fewer["slimmed"] == ["second example sentences", "example sentences of ud/zh_gsdsimp"]
    assert [len(own["examples"]) for own in fewer["languages"]] == [1, 1, 1, 1, 0]
    for room in (size(some), size(whole) // 2):
        assert size(head_facts(run, room=room)) <= room + 200  # the names of what was left out come on top
    least = head_facts(run, room=0)
    assert least["languages"][1]["relations"] == [] != whole["languages"][1]["relations"]
    assert all(own["examples"] == [] for own in least["languages"])
    assert least["languages"][0]["difference"] == whole["languages"][0]["difference"]


def test_a_head_that_the_encoder_lacked_was_not_pruned_by_the_run(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path, profile=False))
    gone, *others = run.first.ranking[:4]
    layer, head = map(int, gone.split("."))
    run.first.scores[layer][head] = None
    facts = head_facts(run, room=10**7)
    assert facts["seeds"][0]["pruned"] == others
    assert facts["seeds"][0]["places"][layer][head] is None
    assert f"| {' '.join(others)} |" in trial_table(run.record)
    assert text_picture(run.first.scores, chosen_heads(run.first)).count("x") == 3


def test_a_run_without_a_profile_says_so(tmp_path: Path) -> None:
    facts = head_facts(finished_run(write_run(tmp_path, profile=False)), room=10)
    assert (facts["measured"], facts["languages"], facts["method"]) == (False, [], "gradient")


def test_what_ranked_the_run_is_not_what_profiled_it(tmp_path: Path) -> None:
    run = edited(write_run(tmp_path), lambda record: record["cells"][0]["ranking_cost"].update(method="shapley"))
    facts = head_facts(run, room=10**7)
    assert (facts["method"], facts["methods"]) == ("shapley", ["gradient"])
