"""`polyhead shrink`: the plan, the saved folder, exit codes, and one line for bad input."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cli.cases import refused
from studies.shrink_case import as_machine, smaller_table
from transformers import AutoModelForTokenClassification

from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.model_heads import head_mask
from polyhead.models.model_neurons import neuron_mask
from polyhead.studies import plan_rounds, shrink_judging, shrinking
from polyhead.studies.tagger import Tagger

SHRINK_ALL = "to shrink it with all its subwords, give "


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose times are those of a table."""
    as_machine(smaller_table(batch=32, length=64), monkeypatch)


@pytest.fixture
def asked(tagger: Path, treebank: Path) -> list[object]:
    dev = (f"en={treebank}/dev.conllu", f"de={treebank}/test.conllu")
    return ["shrink", tagger, *dev, "--task", "pos", "--length", 64, "--max-loss", 100]


@pytest.mark.usefixtures("machine")
def test_a_faster_tagger_is_saved_and_loads(cli, asked: list[object], tmp_path: Path) -> None:
    out = tmp_path / "fast"
    result = cli(*asked, "--speedup", 2, "--out", out, "--json")
    assert result.code == 0, result.err
    found = result.json
    assert found["met"]
    assert found["out"] == str(out)
    assert found["milliseconds"]["before"] == 13.0
    assert found["milliseconds"]["after"] == found["milliseconds"]["predicted"] <= 6.5
    assert found["speedup"] == pytest.approx(13.0 / found["milliseconds"]["after"])
    assert [own["language"] for own in found["languages"]] == ["en", "de"]
    assert found["megabytes"]["after"] < found["megabytes"]["before"]
    model = AutoModelForTokenClassification.from_pretrained(out)
    assert head_mask(model).keep.sum(axis=1).tolist() == found["heads_per_layer"]
    assert list(neuron_mask(model).counts) == found["neurons_per_layer"]
    choice = EncodingChoice.read(out)
    assert choice is not None
    assert choice.task == "pos"
    page = (out / "README.md").read_text(encoding="utf-8")
    assert "- Choice: 2 times as fast was asked for" in page
    assert "Scores on the half of the dev text that heads and neurons were not chosen on" in page
    assert "by Fisher information on half of the dev text in en, de; the language that needs one most decides" in page
    assert [path.name for path in tmp_path.iterdir()] == ["fast"]  # nothing unfinished is left


@pytest.mark.usefixtures("machine")
def test_a_dry_run_prints_the_plan_and_writes_nothing(cli, asked: list[object], tmp_path: Path) -> None:
    result = cli(*asked, "--latency", "8ms", "--dry-run", "--out", tmp_path / "fast")
    assert result.code == 0, result.err
    assert result.out.startswith("plan: ")
    assert "13.0 → " in result.out
    assert "ms predicted" in result.out
    assert "| layer | heads | neurons |" in result.out
    assert "| de | " in result.out
    assert "on the half of the dev text that heads and neurons were not chosen on" in result.prose
    assert "note: half of the dev text judges the loss, few sentences in some languages (en " in result.err
    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("machine")
def test_what_cannot_be_had_within_the_loss_is_said_and_not_written(
    cli, asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shrink_judging.losses_of
    judged: list[Any] = []

    def worse(*given: Any) -> Any:
        judged.append(given)
        points = 3.0 if len(judged) == 1 else 0.0  # the plan that was asked for is judged first
        return tuple(replace(own, after=own.before - points * (own.language == "de")) for own in real(*given))

    monkeypatch.setattr(shrink_judging, "losses_of", worse)
    asked = [*asked[:-1], 1, "--speedup", 2, "--out", tmp_path / "fast"]
    result = cli(*asked)
    assert result.code == 1, result.err
    assert "nothing was written" in result.out
    assert "2 times as fast: de loses 3.00 points, more than 1 allowed; within that the speed gives way" in result.prose
    kept = tmp_path / "fast.partial"
    assert f"the same command with --best-effort writes it, from the work kept in {kept}" in result.prose
    assert {path.name for path in tmp_path.iterdir()} == {"fast.partial", "fast.partial.judged"}
    with monkeypatch.context() as patch:
        patch.setattr(plan_rounds, "score_plan", lambda *_, **__: pytest.fail("searched again"))
        patch.setattr(shrink_judging, "evaluate", lambda *_, **__: pytest.fail("judged again"))
        patch.setattr(Tagger, "evaluate", lambda *_, **__: pytest.fail("judged again"))
        again = cli(*asked, "--json")
        assert again.code == 1, again.err
        assert again.json["kept"] == str(kept)
        result = cli(*asked, "--best-effort", "--json")
    assert result.code == 0, result.err
    assert not result.json["met"]
    assert result.json["languages"] == again.json["languages"]
    assert [path.name for path in tmp_path.iterdir()] == ["fast"]
    judged.clear()
    at_once = cli(*asked[:-1], tmp_path / "at once", "--best-effort", "--json")
    for name in ("model.safetensors", "polyhead.json", "config.json"):
        assert (tmp_path / "fast" / name).read_bytes() == (tmp_path / "at once" / name).read_bytes()
    assert {**at_once.json, "out": ""} == {**result.json, "out": ""}
    page = (tmp_path / "fast" / "README.md").read_text(encoding="utf-8")
    assert "2 times as fast was asked for and not reached: a language would have lost more than 1 points" in page


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("changed", [("--speedup", 1.5), ("--speedup", 2, "--repair", "means")])
def test_other_settings_replace_what_a_missed_goal_left(
    cli, asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: tuple[object, ...]
) -> None:
    real, points = shrink_judging.losses_of, 3.0

    def worse(*given: Any) -> Any:
        return tuple(replace(own, after=own.before - points) for own in real(*given))

    monkeypatch.setattr(shrink_judging, "losses_of", worse)
    asked = [*asked[:-1], 1, "--out", tmp_path / "fast"]
    assert cli(*asked, "--speedup", 2).code == 1
    points = 0.0
    result = cli(*asked, *changed)
    assert result.code == 0, result.err
    assert "is of other work (settings." in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["fast"]


@pytest.mark.usefixtures("machine")
def test_a_larger_loss_judges_no_plan_again(cli, asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shrink_judging.losses_of
    monkeypatch.setattr(
        shrink_judging, "losses_of", lambda *given: tuple(replace(own, after=own.before - 3) for own in real(*given))
    )
    asked = [*asked[:-2], "--speedup", 2, "--out", tmp_path / "fast", "--max-loss"]
    assert cli(*asked, 2).code == 1
    monkeypatch.setattr(shrink_judging, "evaluate", lambda *_, **__: pytest.fail("judged again"))
    assert cli(*asked, 3).code == 0


@pytest.mark.usefixtures("machine")
def test_a_stop_while_the_plan_is_judged_says_what_is_kept(
    cli, asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "fast"
    with monkeypatch.context() as patch:
        patch.setattr(shrink_judging, "losses_of", stop)
        result = cli(*asked, "--speedup", 2, "--out", out)
    assert result.code == 130
    assert f"unfinished work is kept in {out}.partial" in result.err
    assert cli(*asked, "--speedup", 2, "--out", out).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["fast"]


@pytest.mark.usefixtures("machine")
def test_the_current_folder_if_it_is_empty(cli, asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    result = cli(*asked, "--speedup", 2, "--out", ".")
    assert result.code == 0, result.err
    assert (tmp_path / "here" / "config.json").is_file()


@pytest.mark.usefixtures("machine")
def test_text_of_a_language_that_nobody_judges_is_noted(cli, asked: list[object], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("haus auto der die das\n", encoding="utf-8")
    texts = [f"{language}={tmp_path / 'text'}" for language in ("en", "de", "nl", "fr")]
    result = cli(*asked, "--speedup", 2, "--dry-run", "--text", *texts)  # its tokenizer cannot be trimmed
    assert "note: text of nl, fr without dev text: its subwords stay, and what it loses is not measured" in result.err


BAD = {
    "nothing asked": (("--out", "X"), "nothing is asked for: give speedup"),
    "both": (("--speedup", 2, "--latency", "20ms", "--out", "X"), "--speedup = 2.0: and latency 20ms ask for the same"),
    "no folder": (("--speedup", 2), "--out: required; give --out FOLDER, or --dry-run"),
    "too fast": (
        ("--speedup", 40, "--out", "X"),
        "--speedup = 40: without all its heads and neurons the model is 13 times as fast",
    ),
    "no unit": (("--size", "60", "--out", "X"), "--size: '60': expected a size such as 60MB"),
    "no languages": (("--speedup", 2, "--out", "X", "--languages"), "--languages: expected one or more values after it"),
    "a language without dev": (
        ("--speedup", 2, "--out", "X", "--languages", "en", "de", "zh", "nl"),
        "--languages: no labelled dev text of zh, nl; give zh=FILE nl=FILE",
    ),
    "a language without text": (
        ("--size", 0.5, "--out", "X"),
        "no text of en, de, and a size needs it to trim the vocabulary; give --text en=FILE de=FILE",
    ),
    "data twice": (("en=x.conllu", "en=x.conllu", "--speedup", 2, "--out", "X"), "dev 'en=x.conllu': given 2 times"),
    "no file": (("en=", "--speedup", 2, "--out", "X"), "data 'en=': expected LANGUAGE=DEV or LANGUAGE=TRAIN:DEV:TEST"),
    "no value": (("--speedup", 2, "--out", "--json"), "--out: expected a value after it, and --json is an option"),
    "no time": (("--latency", "0ms", "--out", "X"), "--latency: '0ms': expected a time above 0, such as 20ms or 0.02s"),
    "text of no language": (("--size", 0.5, "--out", "X", "--text", "x.txt"), "--text x.txt: names no language"),
}


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(cli, asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    options, said = BAD[case]
    refused(cli(*asked, *options), said)
    assert not any(tmp_path.iterdir())


def test_no_dev_text(cli, tagger: Path) -> None:
    refused(cli("shrink", tagger, "--task", "pos", "--speedup", 2, "--dry-run"), "Missing argument 'REF...'")


def test_a_tagger_that_does_not_record_its_task(cli, tagger: Path, treebank: Path) -> None:
    dev = f"en={treebank}/dev.conllu"
    refused(cli("shrink", tagger, dev, "--speedup", 2, "--dry-run"), "does not record its task; give --task")


def test_a_batch_that_does_not_fit_and_a_length_that_is_not_read(cli, asked: list[object]) -> None:
    refused(cli(*asked, "--speedup", 2, "--dry-run", "--batch", 10**9), "GB are free; give fewer rows")
    refused(cli(*asked, "--speedup", 2, "--dry-run", "--length", 5000), "--length = 5000: this model reads at most")


def test_a_finished_model_that_cannot_be_timed_is_refused_at_once(
    cli, asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shrinking, "prepared", lambda *_, **__: pytest.fail("the search began"))
    size = (*asked, "--size", 0.9, "--keep", "vocabulary", "--out", tmp_path / "small")
    refused(cli(*size, "--length", 5000), "--length = 5000: this model reads at most")
    refused(cli(*size, "--batch", 10**9), "GB are free; give fewer rows")


def test_a_missing_text_is_noticed_before_anything_is_measured(
    cli, asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shrinking, "cached_latency", lambda *_, **__: pytest.fail("measured"))
    (tmp_path / "text").write_text("haus\n", encoding="utf-8")
    given = (*asked, "--speedup", 2, "--dry-run", "--text", f"en={tmp_path / 'text'}")
    refused(cli(*given), "no text of de, and its subwords would be lost; give --text de=FILE")


@pytest.mark.parametrize("distil", [False, True])
def test_a_vocabulary_that_cannot_be_trimmed_is_noticed_before_anything_is_read_or_measured(
    cli, asked: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distil: bool
) -> None:
    monkeypatch.setattr(shrinking, "cached_latency", lambda *_, **__: pytest.fail("measured"))
    monkeypatch.setattr(shrinking, "prepared", lambda *_, **__: pytest.fail("read"))
    (tmp_path / "text").write_text("haus\n", encoding="utf-8")
    given = [*asked, "--speedup", 2, "--dry-run", "--text", f"en={tmp_path / 'text'}", f"de={tmp_path / 'text'}"]
    result = cli(*given, *(["--distil", 1] if distil else []))
    step = "--keep vocabulary" if distil else "--keep vocabulary, without --text and --corpus"
    refused(result, f"tokenizer model WordLevel: cannot be trimmed; only WordPiece, Unigram, BPE can; {SHRINK_ALL}{step}")
    assert result.err.rstrip().endswith(step)


@pytest.mark.usefixtures("machine")
def test_a_vocabulary_that_is_kept_need_not_be_trimmable(cli, asked: list[object], tmp_path: Path) -> None:
    result = cli(*asked, "--speedup", 2, "--keep", "vocabulary", "--dry-run")
    assert result.code == 0, result.err


def test_an_occupied_folder(cli, asked: list[object], tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("x", encoding="utf-8")
    refused(cli(*asked, "--speedup", 2, "--out", tmp_path / "used"), "--out", "is not empty")
