"""Several sources: what heads are ranked on, how rankings become one, how much of a target is trained on, and unseen labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_run import settings, tiny_data

from polyhead.core.errors import SettingError
from polyhead.core.heads import normalise
from polyhead.studies import cell
from polyhead.studies.inputs import open_inputs
from polyhead.studies.run import run
from polyhead.studies.settings import RunSettings, run_settings
from polyhead.studies.text_memory import Texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_data(tmp_path_factory.mktemp("sources"))


def both(folder: Path, **changes: Any) -> RunSettings:
    """English and German trained on, German tested."""
    en, de = (
        f"{language}={folder}/{language}-train.conllu:{folder}/{language}-dev.conllu:{folder}/{language}-test.conllu"
        for language in ("en", "de")
    )
    values: dict[str, Any] = {"train": {"epochs": 1}, "search": {"how": "sweep", "max_pruned": 2}} | changes
    return settings(folder, sources=[en, de], targets=[de], **values)


def test_heads_are_ranked_on_all_sources_or_on_those_that_are_not_tested(folder: Path) -> None:
    everywhere, elsewhere = open_inputs(both(folder)), open_inputs(both(folder, rank_on="sources"))
    assert len(everywhere.ranking) == len(everywhere.source_dev) == 2
    assert [everywhere.languages[name] for name in elsewhere.ranking] == ["en"]
    assert elsewhere.selection.keys() == everywhere.selection.keys(), "k is chosen on both dev sets, pooled by language"


def test_tenths_limit_the_target_alone_and_each_part_holds_the_smaller_ones(folder: Path) -> None:
    whole, some, more = (open_inputs(both(folder, target_tenths=n)) for n in (None, 2, 5))
    sizes = [[data.sentences for data in own.records if data.split == "train"] for own in (whole, some, more)]
    assert sizes == [[64, 64], [64, 12], [64, 32]]
    words = [{window.input_ids.tobytes() for window in own.train.windows} for own in (some, more, whole)]
    assert words[0] <= words[1] <= words[2]
    assert len({own.train_hash for own in (whole, some, more)}) == 3
    assert open_inputs(both(folder, target_tenths=2, train_limit=20)).train_hash != some.train_hash, "English is limited to 20"
    with pytest.raises(
        SettingError, match=r"^target 'de=.*': train_limit 31 is less than the tenths of its 64 training sentences"
    ):
        open_inputs(both(folder, target_tenths=5, train_limit=31))


def test_each_order_has_its_search_and_the_best_on_dev_is_kept(folder: Path) -> None:
    found = run(both(folder, combine="each"), out=folder / "each", controls=["random"], device="cpu", head_analysis=0)
    single = {
        name: run(both(folder, **how), out=folder / name, device="cpu", head_analysis=0).first
        for name, how in {"merged": {}, "summed": {"combine": "summed"}, "english": {"rank_on": "sources"}}.items()
    }
    assert [own.fine_tunings for own in found.cells] == [5, 5], "k = 0 is shared"
    assert single["merged"].fine_tunings == 3
    best = {trial.k: trial.dev for trial in found.first.trials}[found.first.chosen]
    alone = {trial.k: trial.dev for trial in single["english"].trials}[single["english"].chosen]
    assert best >= alone, "English is one of the two orders"
    assert found.settings.combine == "each"
    merged, summed = (np.array(single[name].scores) for name in ("merged", "summed"))
    english = np.array(single["english"].scores)
    german = 2 * merged - english
    assert np.allclose(normalise(english, "paper") + normalise(german, "paper"), summed, atol=1e-3), "merged dev sets of one size"


def test_of_several_orders_the_one_that_is_kept_is_tested(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tested: set[str] = set()
    real = cell.tested
    monkeypatch.setattr(cell, "tested", lambda context, fit: tested.add(fit.folder.name) or real(context, fit))
    spec = both(folder, combine="each", search={"how": "nested", "max_pruned": 2, "objective": "within:100"})
    record = run(spec, out=folder / "kept", controls=["random"], device="cpu", head_analysis=0)
    assert [own.chosen for own in record.cells] == [2, 2]
    assert len(tested) == 1 + 2 + 1, "the unpruned model, of each arm the better order pruned, and of ranked heads with all heads"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"combine": "each", "rank_on": "sources"}, "combine = 'each': needs two or more sources to rank on"),
        (
            {"combine": "summed", "method": "ablation"},
            "combine = 'summed': adds up scores scaled as in the paper, but method abl",
        ),
        ({"combine": "all"}, "combine = 'all': should be 'merged', 'summed' or 'each'"),
        ({"target_tenths": 10}, "target_tenths = 10: should be at most 9"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        run(both(folder, **changes), out=folder / "refused", device="cpu")


def test_settings_of_a_target_need_a_target_among_the_sources(folder: Path) -> None:
    with pytest.raises(SettingError, match="target_tenths: limits the sentences of a target that is also a source"):
        settings(folder, target_tenths=3)
    one = f"de={folder}/de-train.conllu:{folder}/de-dev.conllu:{folder}/de-test.conllu"
    with pytest.raises(SettingError, match="rank_on = 'sources': every source is a target"):
        settings(folder, sources=[one], targets=[one], rank_on="sources")


def spans(path: Path, rows: str) -> Path:
    path.write_text("\n".join(row.replace(" ", "\t") for row in rows.split("|")) + "\n\n", encoding="utf-8")
    return path


@pytest.fixture
def entities(folder: Path, tmp_path: Path) -> dict[str, Any]:
    for split, verb in (("train", "runs"), ("dev", "sees")):
        spans(tmp_path / f"{split}.tsv", "\n\n".join([f"dog B-PER|{verb} O|house B-LOC"] * 4))
    spans(tmp_path / "test.tsv", "Hund B-PER|geht O|Haus B-TIME|. I-TIME")
    return {
        "model": folder / "encoder",
        "task": "ner",
        "scheme": "iob2",
        "sources": [f"en={tmp_path}/train.tsv:{tmp_path}/dev.tsv"],
        "targets": [f"de={tmp_path}/test.tsv"],
        "train": {"epochs": 1},
    }


def test_labels_that_no_source_has_are_refused_kept_or_dropped(entities: dict[str, Any]) -> None:
    with pytest.raises(
        SettingError, match=r"its test split has labels that no source has: B-TIME, I-TIME; with unseen_labels keep"
    ):
        open_inputs(run_settings(**entities))
    kept, dropped = (open_inputs(run_settings(**entities, unseen_labels=how)) for how in ("keep", "drop"))
    (own,), (other,) = kept.tests.values(), dropped.tests.values()
    assert [list(labels) for labels in own.gold] == [["B-PER", "O", "B-TIME", "I-TIME"]]
    assert [list(labels) for labels in other.gold] == [["B-PER", "O", "O", "O"]]
    assert dropped.records[-1].repairs == {"span of type TIME read as O": 1}
    assert kept.test_keys != dropped.test_keys, "figures of one are not those of the other"


def test_what_many_inputs_share_is_what_each_alone_would_read(folder: Path) -> None:
    """A corpus is the source of one cell and the limited target of another, with equally many sentences."""
    texts = Texts()
    en, de = both(folder).sources
    for pair in ((en, de), (de, en)):
        own = settings(folder, sources=pair, targets=[pair[1]], target_tenths=5, train_limit=32)
        shared, alone = open_inputs(own, texts), open_inputs(own)
        read = [[window.input_ids.tobytes() for window in inputs.train.windows] for inputs in (shared, alone)]
        assert read[0] == read[1]


def test_two_layers_of_labels_in_one_file_are_two_data_sets(folder: Path, tmp_path: Path) -> None:
    for n, split in enumerate(("train", "dev", "test"), start=4):
        spans(tmp_path / f"{split}.tsv", "\n\n".join(["dog B-PER O|runs O B-LOC|house B-LOC B-PER"] * n))
    keys = []
    for column in (2, 3):
        inputs = open_inputs(
            run_settings(
                model=folder / "encoder",
                task="ner",
                sources=[f"en={tmp_path}/train.tsv:{tmp_path}/dev.tsv"],
                targets=[f"en={tmp_path}/test.tsv"],
                columns=f"tab:token=1,tag={column}",
                scheme="iob2",
            )
        )
        keys.append([inputs.train_hash, *inputs.dev_keys.values(), *inputs.test_keys.values()])
    assert not set(keys[0]) & set(keys[1]), "a fine-tuning on one layer is not one on the other"
