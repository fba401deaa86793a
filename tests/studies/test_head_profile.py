"""`heads.json`: what a run says of its heads in each language, from dev splits alone, and that it can be had later."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_run import settings, tiny_data, write_treebank
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaForTokenClassification, XLMRobertaLayer

from polyhead.core.files import read_json
from polyhead.report.heads_form import LanguageHeads
from polyhead.report.record import RunRecord
from polyhead.studies import head_profile, stages
from polyhead.studies.language_profile import language_profile
from polyhead.studies.run import run
from polyhead.studies.settings import run_settings
from polyhead.studies.stages import Stage


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_data(tmp_path_factory.mktemp("profile"))


def targets(folder: Path) -> list[str]:
    """German has a dev split; the next has none; in the last every dev label is `_`."""
    bare = folder / "nl-dev.conllu"
    bare.write_text("1\tja\t_\t_\t_\t_\t_\t_\t_\t_\n\n", encoding="utf-8")
    write_treebank(folder / "nl-test.conllu", "de", n=5, seed=9)
    write_treebank(folder / "da-test.conllu", "de", n=6, seed=10)
    of = {code: f"{folder}/{code}-" for code in ("de", "nl")}
    return [
        f"de={of['de']}train.conllu:{of['de']}dev.conllu:{of['de']}test.conllu",
        f"da={folder}/da-test.conllu",
        f"nl={of['nl']}test.conllu:{of['nl']}dev.conllu:{of['nl']}test.conllu",
    ]


@pytest.fixture(scope="module")
def done(folder: Path) -> tuple[Path, RunRecord, dict[str, Any]]:
    out = folder / "out"
    record = run(settings(folder, targets=targets(folder)), out=out, device="cpu", head_analysis=12)
    return out, record, read_json(out / "heads.json")


def test_says_what_each_head_does_in_each_language_with_a_dev_split(done: tuple[Path, RunRecord, dict[str, Any]]) -> None:
    _, record, heads = done
    assert (heads["schema"], heads["seed"], heads["shape"], heads["n_sentences"]) == (2, 42, [2, 4], 12)
    assert heads["model_hash"] == record.model_hash
    assert [(own["language"], own["split"], own["n_sentences"]) for own in heads["languages"]] == [
        ("en", "dev", 12),
        ("de", "dev", 12),
    ]
    assert len(heads["measured"]) == 8
    for own in heads["languages"]:
        assert list(own["scores"]) == ["gradient", "confidence", "magnitude"]
        assert all(np.shape(scores) == (2, 4) for scores in own["scores"].values())
        assert len({str(scores) for scores in own["scores"].values()}) == 3
        effects = own["effects"]
        assert (np.array(effects["low"]) <= np.array(effects["difference"]) + 1e-3).all(), "so few heads are all measured"
        assert (np.abs(effects["loss_change"]) <= np.array(own["scores"]["gradient"]) * (1 + 1e-4)).all()
        shares = own["attention"]["shares"]
        assert {*shares} == {*own["attention"]["even"]} == {"previous", "next", "same", "separators"}
        assert own["attention"]["relations"] == {}


def test_names_the_languages_left_out_and_why(done: tuple[Path, RunRecord, dict[str, Any]]) -> None:
    why = {own["language"]: own["why"] for own in done[2]["left_out"]}
    assert "no dev split" in why["da"]
    assert "label" in why["nl"]


def test_a_run_finished_without_it_gets_it_later_and_keeps_its_result(
    folder: Path, done: tuple[Path, RunRecord, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = folder / "later"
    wanted = settings(folder, targets=targets(folder))
    run(wanted, out=out, device="cpu", head_analysis=0)
    assert not (out / "heads.json").exists()
    result = (out / "result.json").read_bytes()

    calls: list[str] = []

    def stopped(*args: Any, **kwargs: Any) -> LanguageHeads:
        calls.append(args[2].data.language)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return language_profile(*args, **kwargs)

    monkeypatch.setattr(head_profile, "language_profile", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(wanted, out=out, device="cpu", head_analysis=12)
    assert not (out / "heads.json").exists()
    run(wanted, out=out, device="cpu", head_analysis=12)
    assert (out / "result.json").read_bytes() == result
    assert read_json(out / "heads.json")["languages"] == done[2]["languages"]
    n_calls = len(calls)
    run(wanted, out=out, device="cpu", head_analysis=12)
    assert len(calls) == n_calls


def test_the_result_is_there_before_the_analysis(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = folder / "before"

    def stop(*args: Any, **kwargs: Any) -> None:
        assert {"result.json", "report.md", "scores.tsv", "model"} <= {path.name for path in out.iterdir()}
        raise KeyboardInterrupt

    monkeypatch.setattr("polyhead.studies.run.profile_heads", stop)
    with pytest.raises(KeyboardInterrupt):
        run(settings(folder, train={"epochs": 1}), out=out, device="cpu", head_analysis=12)


def test_few_heads_are_ablated_and_all_languages_together(
    folder: Path, done: tuple[Path, RunRecord, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pass for gradients, 1 + 3 masked ones, and two for attention and confidence, whatever the number of heads."""
    sentences: list[int] = []
    layers: list[int] = []
    encode = XLMRobertaForTokenClassification.forward
    block = XLMRobertaLayer.forward

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        sentences.append(len(kwargs["input_ids"]))
        return encode(self, *args, **kwargs)

    def counted_block(self: Any, hidden: Any, *args: Any, **kwargs: Any) -> Any:
        layers.append(len(hidden))
        return block(self, hidden, *args, **kwargs)

    out = folder / "few"
    wanted = settings(folder, targets=targets(folder))
    run(wanted, out=out, device="cpu", head_analysis=0)
    monkeypatch.setattr(head_profile, "MEASURED", 3)
    monkeypatch.setattr(XLMRobertaForTokenClassification, "forward", counted)
    monkeypatch.setattr(XLMRobertaLayer, "forward", counted_block)
    run(wanted, out=out, device="cpu", head_analysis=12)
    n = 2 * 12  # languages, sentences
    assert sum(sentences) == n * (1 + 1 + 3 + 2)
    assert sum(layers) <= 2 * n * (1 + 1 + 3 + 2)
    heads = read_json(out / "heads.json")
    assert len(heads["measured"]) == 3
    for own, every in zip(heads["languages"], done[2]["languages"], strict=True):
        difference = own["effects"]["difference"]
        known = [f"{i}.{j}" for i, row in enumerate(difference) for j, value in enumerate(row) if value is not None]
        assert known == sorted(heads["measured"])
        assert all(difference[i][j] == every["effects"]["difference"][i][j] for i, j in (map(int, h.split(".")) for h in known))
        assert own["effects"]["loss_change"] == every["effects"]["loss_change"]


def test_text_may_be_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyhead.studies.language_profile._EXAMPLE_WORDS", range(3, 6))
    wanted = settings(folder, targets=[f"de={folder}/de-train.conllu:{folder}/de-dev.conllu:{folder}/de-test.conllu"])
    for text in (True, False):
        run(wanted, out=folder / "silent", device="cpu", head_analysis=12, text=text)
        written = (folder / "silent" / "heads.json").read_text(encoding="utf-8")
        assert ("Hund" in written) == text
        assert all(bool(own["examples"]) == text for own in json.loads(written)["languages"])


def test_a_dev_file_that_is_a_test_file_is_not_looked_at(folder: Path) -> None:
    test = f"{folder}/de-test.conllu"
    wanted = settings(folder, targets=[f"de={folder}/de-train.conllu:{test}:{test}"])
    run(wanted, out=folder / "same", device="cpu", head_analysis=5)
    heads = read_json(folder / "same" / "heads.json")
    assert [own["language"] for own in heads["languages"]] == ["en"]
    assert "test file" in heads["left_out"][0]["why"]


def german(folder: Path, out: str, **options: Any) -> dict[str, Any]:
    """`heads.json` of English and German, of which German has its own dev file."""
    wanted = settings(folder, targets=[f"de={folder}/de-train.conllu:{folder}/own-dev.conllu:{folder}/de-test.conllu"])
    run(wanted, out=folder / out, device="cpu", head_analysis=12, **options)
    return read_json(folder / out / "heads.json")  # type: ignore[no-any-return]


def test_another_dev_file_of_a_target_gives_another_profile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in (1, 2):
        write_treebank(folder / "own-dev.conllu", "de", n=30, seed=seed)
        if seed == 1:
            before = german(folder, "rewritten")
    after = german(folder, "rewritten")
    assert after["languages"][0] == before["languages"][0]
    assert after["languages"][1] != before["languages"][1]
    for name in ("evaluation", "screening", "head analysis"):
        stage = stages.STAGES[name]
        monkeypatch.setitem(stages.STAGES, name, Stage(stage.version + 1, stage.files))
        again = german(folder, "rewritten")
        assert again["made_of"] != after["made_of"], name
        assert again["languages"] == after["languages"]
        after = again


@pytest.mark.parametrize("row", ["1\tGeheim", "1\tGeheim\t_\tNOUN\t_\t_\tGeheim\t_\t_\t_"])
def test_why_a_language_is_left_out_quotes_neither_its_file_nor_its_words(
    row: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "own-dev.conllu").write_text(f"{row}\n\n" if "NOUN" not in row else f"{row}\nx\n\n", encoding="utf-8")
    heads = german(folder, "quoted", text=False)
    (left,) = heads["left_out"]
    assert left["why"] == "its dev split cannot be read as declared"
    assert any("own-dev.conllu:" in line for line in caplog.messages)


def test_examples_are_short_sentences_whose_rows_are_whole(tmp_path: Path) -> None:
    wanted = run_settings(
        model="polyhead/tiny",
        task="pos",
        sources=["phrases/en"],
        targets=["phrases/he"],
        train_limit=20,
        search={"max_pruned": 1, "how": "sweep"},
        train={"epochs": 1, "precision": "fp32"},
    )
    run(wanted, out=tmp_path / "out", device="cpu", head_analysis=10)
    heads = json.loads((tmp_path / "out" / "heads.json").read_text(encoding="utf-8"))
    for own in heads["languages"]:
        for example in own["examples"]:
            weights = np.array(example["weights"])
            n = len(example["words"])
            assert 6 <= n <= 14
            assert weights.shape == (4, 8, n, n + 1)
            np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=0.01)
            assert example["special_before"] == "<s>"
    assert heads["languages"][1]["language"] == "he"
    previous = np.array(heads["languages"][0]["attention"]["shares"]["previous"])
    assert previous.max() > 0.5  # this encoder was begun with heads that look at the word before


def test_relations_are_read_from_the_dev_file(folder: Path) -> None:
    """Every word of this treebank depends on the next one, so what goes to heads goes to the next word."""
    rows = [line.split("\t") for line in (folder / "de-dev.conllu").read_text(encoding="utf-8").splitlines()]
    for row, after in zip(rows, [*rows[1:], [""]], strict=True):
        if row != [""]:
            row[6:8] = ["0", "root"] if after == [""] else [after[0], "dep:x"]
    path = folder / "sv-dev.conllu"
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n\n", encoding="utf-8")
    other = f"{folder}/de-"
    wanted = settings(folder, targets=[f"sv={other}train.conllu:{path}:{other}test.conllu"])
    run(wanted, out=folder / "trees", device="cpu", head_analysis=30)
    swedish = read_json(folder / "trees" / "heads.json")["languages"][1]["attention"]
    assert {*swedish["relations"]} == {"dep"}
    assert swedish["relations"]["dep"]["n"] >= 20
    assert swedish["relations"]["dep"]["to_head"]["shares"] == swedish["shares"]["next"]
    assert swedish["relations"]["dep"]["to_dependent"]["shares"] == swedish["shares"]["previous"]
    assert swedish["shares"]["next"] != swedish["shares"]["previous"]


@pytest.mark.parametrize(("method", "own"), [("fisher", ["fisher"]), ("gradient", []), ("shapley", [])])
def test_the_runs_own_method_comes_first_unless_it_takes_long(method: str, own: list[str]) -> None:
    context: Any = SimpleNamespace(settings=SimpleNamespace(method=method), shape=(12, 12))
    assert head_profile.profiled_methods(context) == (*own, "gradient", "confidence", "magnitude")
