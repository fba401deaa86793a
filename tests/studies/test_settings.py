"""Settings of a run from the API: the same checks as on the command line and in a settings file."""

from pathlib import Path
from typing import Any

import pytest

from polyhead.core.errors import SettingError, UnknownNameError
from polyhead.core.values import fingerprint
from polyhead.studies.arms import expand
from polyhead.studies.settings import FitSettings, run_settings

NEEDED: dict[str, Any] = {"model": "m", "task": "pos", "sources": ["phrases/en"], "targets": ("phrases/de",)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sources": "phrases/en"}, "sources = 'phrases/en': should be a list"),
        ({"sources": {"phrases/en"}}, "sources = {'phrases/en'}: should be a list"),
        ({"targets": ()}, "targets = (): should have at least one item"),
        ({"targets": [3]}, "targets = 3: should be text"),
        ({"train_limit": 1.5}, "train_limit = 1.5: should be a whole number"),
        ({"train_limit": True}, "train_limit = True: should be a whole number"),
        ({"train_limit": 0}, "train_limit = 0: should be at least 1"),
        ({"sample_seed": -1}, "sample_seed = -1: should be at least 0"),
        ({"search": {"min_per_layer": -1}}, "search.min_per_layer = -1: should be at least 0"),
        ({"search": {"max_pruned": True}}, "search.max_pruned = True: should be a whole number"),
        ({"search": {"max_prund": 3}}, "search.max_prund: unknown option; did you mean 'max_pruned'?"),
        ({"search": 3}, "search = 3: should be a table of options"),
        ({"train": {"epochs": [1]}}, "train.epochs = [1]: should be a whole number"),
        ({"train": {"freeze": "embeddings"}}, "train.freeze = 'embeddings': should be a list"),
        ({"protocol": "papr"}, "protocol = 'papr': should be 'sound', 'paper' or 'paper-released'"),
        ({"normalisation": "softmax"}, "normalisation = 'softmax': should be 'none' or 'paper'"),
        ({"select_on": "test"}, "select_on = 'test': should be"),
        ({"method": ""}, "method = '': should not be empty"),
        ({"model": ""}, "model = '': should not be empty"),
        ({"strict": "yes"}, "strict = 'yes': should be true or false"),
        ({"protocol": "paper-released", "search": {"prune": "after"}}, "search.prune = 'after': protocol 'paper-released' masks"),
        ({"protocol": "paper", "search": {"max_pruned": 0}}, "search.max_pruned = 0: protocol 'paper' reports the best of"),
    ],
)
def test_what_is_not_allowed_is_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError) as error:
        run_settings(**NEEDED | changes)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_faults_of_all_tables_come_together() -> None:
    with pytest.raises(SettingError, match=r"train.epochs = 0: .*; train_limit = 0: .*; search.how = 'x': "):
        run_settings(**NEEDED, train={"epochs": 0}, search={"how": "x"}, train_limit=0)


def test_lists_and_paths_become_what_a_record_holds() -> None:
    one = run_settings(**NEEDED | {"model": Path("a/m"), "data": Path("d")})
    other = run_settings(**NEEDED | {"model": "a/m", "data": "d", "sources": ("phrases/en",)})
    assert one == other
    assert (one.model, one.data, one.sources) == ("a/m", "d", ("phrases/en",))
    assert fingerprint(one) == fingerprint(other)


def test_a_fine_tuning_takes_its_part_of_them() -> None:
    chosen = FitSettings(model="m", task="pos", sources=["phrases/en"], train={"epochs": 2})  # type: ignore[arg-type]
    assert chosen.train.epochs == 2
    with pytest.raises(SettingError, match="targets: unknown option"):
        FitSettings(model="m", task="pos", sources=("phrases/en",), targets=["phrases/de"])  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("seeds", "controls", "said"),
    [
        ([], (), "seeds = []: should have at least one item"),
        ([1, 1], (), "seeds = [1, 1]: should name each seed once"),
        ([True], (), "seeds = True: should be a whole number"),
        ([1.0], (), "seeds = 1.0: should be a whole number"),
        ("42", (), "seeds = '42': should be a list"),
        ([1], "noise", "controls = 'noise': should be a list"),
        ([1], ["noise", "noise"], "controls = ['noise', 'noise']: should name each control once"),
        ([1], ["nois"], "controls = 'nois': should be 'random', 'highest', 'depth' or 'noise'; did you mean 'noise'?"),
    ],
)
def test_seeds_and_controls(seeds: Any, controls: Any, said: str) -> None:
    with pytest.raises(SettingError) as error:
        expand(run_settings(**NEEDED), seeds=seeds, controls=controls)
    assert str(error.value) == said


def test_any_sequence_of_seeds_will_do() -> None:
    assert [cell.seed for cell in expand(run_settings(**NEEDED), seeds=range(2))] == [0, 1]


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"task": "poss"}, UnknownNameError, "task 'poss': did you mean 'pos'?"),
        ({"sources": ["ud/en_ewtx"]}, UnknownNameError, "corpus 'ud/en_ewtx': no such name; did you mean ud/en_ewt"),
        ({"targets": ["phrases/de", "phrases/dee"]}, UnknownNameError, "corpus 'phrases/dee': no such name; did you mean"),
        ({"targets": ["ud/de_gsd@word"]}, SettingError, "data 'ud/de_gsd@word': '@word' after the name; expected @words"),
        ({"sources": ["phrases/en"] * 2}, SettingError, "source 'phrases/en': given 2 times"),
        ({"targets": ["phrases/de@words"]}, SettingError, "data 'phrases/en' and 'phrases/de@words': one run uses one kind"),
        ({"columns": "facebok"}, SettingError, "columns 'facebok': expected columns such as"),
        ({"columns": "facebook", "scheme": "iob2"}, SettingError, "--scheme iob2: the layout 'facebook' declares"),
        ({"scheme": "iobb"}, SettingError, "scheme 'iobb': "),
    ],
)
def test_unknown_names_and_what_does_not_go_together_are_refused_at_once(
    changes: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind) as error:
        run_settings(**NEEDED | changes)
    assert str(error.value).startswith(said)
