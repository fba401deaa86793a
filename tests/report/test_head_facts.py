"""What the page's script is given: every figure of a run, and sentences in their direction."""

from pathlib import Path

from report.page_case import edited, write_run

from polyhead.report.finished_run import finished_run
from polyhead.report.head_facts import head_facts
from polyhead.report.pictures import text_picture
from polyhead.report.reading import chosen_heads
from polyhead.report.tables import trial_table


def test_figures_are_those_of_the_files(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    facts = head_facts(run)
    assert run.heads is not None
    assert [own["seed"] for own in facts["seeds"]] == [42, 43, 44, 45, 46]
    assert facts["seeds"][0]["pruned"] == run.record.first.ranking[:4]
    lowest = run.record.first.ranking[0].split(".")
    assert facts["seeds"][0]["places"][int(lowest[0])][int(lowest[1])] == 1
    for shown, own in zip(facts["languages"], run.heads.languages, strict=True):
        assert shown["scores"]["gradient"] == own.scores["gradient"]
        assert shown["difference"] == own.effects.difference
        assert shown["shares"]["next"]["values"] == own.attention.shares["next"]
    relations = facts["languages"][1]["relations"]
    assert [own["n"] for own in relations] == sorted((own["n"] for own in relations), reverse=True)


def test_direction_is_that_of_the_letters(tmp_path: Path) -> None:
    facts = head_facts(finished_run(write_run(tmp_path)))
    found = {own["language"]: own["examples"][0]["direction"] for own in facts["languages"]}
    assert found == {"en": "ltr", "de": "ltr", "ar": "rtl", "he": "rtl", "zh-Hans": "ltr"}


def test_every_method_of_a_language_is_kept_the_profile_s_own_first(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    assert run.heads is not None
    for own in run.heads.languages:
        gradient = own.scores.pop("gradient")
        own.scores.update({"ablation": gradient[::-1], "gradient": gradient})
    del run.heads.languages[0].scores["gradient"]
    facts = head_facts(run)
    assert facts["methods"] == ["gradient", "ablation"]
    assert [list(own["scores"]) for own in facts["languages"]][:2] == [["ablation"], ["ablation", "gradient"]]


def test_the_ranking_s_method_is_the_run_s_and_not_the_profile_s(tmp_path: Path) -> None:
    run = edited(write_run(tmp_path), lambda record: record["cells"][0]["ranking_cost"].update(method="shapley"))
    facts = head_facts(run)
    assert (facts["method"], facts["methods"]) == ("shapley", ["gradient"])


def test_a_head_that_the_encoder_lacked_was_not_pruned_by_the_run(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path, profile=False))
    missing, *others = run.record.first.ranking[:4]
    layer, head = map(int, missing.split("."))
    run.record.first.scores[layer][head] = None
    facts = head_facts(run)
    assert facts["seeds"][0]["pruned"] == others
    assert facts["seeds"][0]["places"][layer][head] is None
    assert f"| {' '.join(others)} |" in trial_table(run.record)
    assert text_picture(run.record.first.scores, chosen_heads(run.record.first)).count("x") == 3


def test_a_run_without_a_profile_says_so(tmp_path: Path) -> None:
    facts = head_facts(finished_run(write_run(tmp_path, profile=False)))
    assert (facts["measured"], facts["languages"], facts["method"]) == (False, [], "gradient")


def test_what_ranked_the_run_is_not_what_profiled_it(tmp_path: Path) -> None:
    run = edited(write_run(tmp_path), lambda record: record["cells"][0]["ranking_cost"].update(method="shapley"))
    facts = head_facts(run)
    assert (facts["method"], facts["methods"]) == ("shapley", ["gradient"])
