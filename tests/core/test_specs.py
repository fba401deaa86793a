"""Settings: validation, misspelt names, TOML, fingerprints."""

import copy
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict, field, replace
from pathlib import Path

import numpy as np
import pytest

from polyhead.core.errors import SettingError
from polyhead.core.settings_file import read_toml, settings
from polyhead.core.specs import SearchSpec, TrainSpec, allowed_loss
from polyhead.core.values import fingerprint


def test_defaults_are_those_of_the_sound_protocol() -> None:
    spec = TrainSpec()
    assert (spec.epochs, spec.batch_size, spec.weight_decay, spec.warmup, spec.clip) == (3, 16, 0.01, 0.06, 1.0)
    assert (spec.max_length, spec.order, spec.anchor, spec.seed) == (256, "buckets", "text", 42)
    assert (SearchSpec().how, SearchSpec().objective, SearchSpec().max_pruned, SearchSpec().prune) == (
        "screened",
        "best",
        12,
        "before",
    )


def test_nested_masks_go_with_training() -> None:
    assert SearchSpec(how="nested").prune == "before"
    with pytest.raises(SettingError, match="how = 'nested': trains with heads masked, so prune should be 'before'"):
        SearchSpec(how="nested", prune="after")


def test_a_repair_goes_with_pruning_after_training() -> None:
    assert SearchSpec().repair == "none"
    assert SearchSpec(prune="after", repair="refit").repair == "refit"
    with pytest.raises(SettingError, match="repair = 'means': should be none unless prune is 'after', but prune = 'before'"):
        SearchSpec(repair="means")
    with pytest.raises(SettingError, match=r"^search\.repair = 'refit'.* prune = 'before'$"):
        Spec(search={"repair": "refit"})  # type: ignore[arg-type]


def test_learning_rate_follows_the_width_unless_set() -> None:
    assert TrainSpec().rate_for(384) == 3e-4
    assert TrainSpec().rate_for(385) == 5e-5
    assert TrainSpec(learning_rate=1e-3).rate_for(768) == 1e-3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.5),
        ("epochs", True),
        ("batch_size", "16"),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("warmup", 1.1),
        ("warmup", float("nan")),
        ("weight_decay", -0.1),
        ("clip", float("inf")),
        ("max_length", 3),
        ("order", "random"),
        ("precision", "fp16"),
        ("freeze", ("encoder",)),
        ("seed", -1),
        ("anchor", "last"),
    ],
)
def test_a_value_out_of_range_is_named(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=rf"^{name} = .*should be") as caught:
        TrainSpec(**{name: value})
    assert "\n" not in str(caught.value)


def test_all_faults_come_in_one_line() -> None:
    with pytest.raises(SettingError) as caught:
        TrainSpec(epochs=0, order="random", clip=-1.0)  # type: ignore[arg-type]
    assert all(name in str(caught.value) for name in ("epochs = 0", "order = 'random'", "clip = -1.0"))
    assert "\n" not in str(caught.value)


def test_values_are_stored_in_their_own_type() -> None:
    spec = TrainSpec(learning_rate=1, freeze=["embeddings"])  # type: ignore[arg-type]
    assert isinstance(spec.learning_rate, float)
    assert spec.freeze == ("embeddings",)
    assert hash(spec) == hash(replace(spec))


@pytest.mark.parametrize(("objective", "loss"), [("best", None), ("within:0.5", 0.5), ("within:2", 2.0), ("within:0", 0.0)])
def test_objectives(objective: str, loss: float | None) -> None:
    assert allowed_loss(SearchSpec(objective=objective).objective) == loss


@pytest.mark.parametrize("objective", ["", "within", "within:", "within:-1", "within:x", "within:1e400", "Best", "best "])
def test_wrong_objectives_are_refused_with_an_example(objective: str) -> None:
    with pytest.raises(SettingError, match=r"within:0\.5"):
        SearchSpec(objective=objective)


@settings
class Spec:
    train: TrainSpec = field(default_factory=TrainSpec)
    search: SearchSpec = field(default_factory=SearchSpec)


def load(path: Path) -> Spec:
    return Spec(**read_toml(path))


def test_toml_fills_nested_tables(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('\ufeff[train]\nepochs = 1\nfreeze = ["embeddings"]\n[search]\nobjective = "within:0.5"\n', encoding="utf-8")
    assert load(path) == Spec(train=TrainSpec(epochs=1, freeze=("embeddings",)), search=SearchSpec(objective="within:0.5"))


def test_misspelt_options_get_the_nearest_name_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("[train]\nepoch = 1\nbatch_size = 0\n[serach]\nhow = 'sweep'\n[search]\nzzz = 1\n")
    with pytest.raises(SettingError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert "train.epoch: unknown option; did you mean 'epochs'?" in message
    assert "train.batch_size = 0: should be" in message
    assert "serach: unknown option; did you mean 'search'?" in message
    assert "search.zzz: unknown option; expected one of how, max_pruned, objective" in message


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"[train\n", "not TOML"),
        (b"\xff\xfe", "byte 0xff is not UTF-8"),
        (b"train = 3\n", "should be a table"),
        (None, "cannot be read"),
    ],
)
def test_unreadable_files(tmp_path: Path, content: bytes | None, what: str) -> None:
    path = tmp_path / "run.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError, match=what):
        load(path)
    with pytest.raises(SettingError, match="cannot be read"):
        load(tmp_path)


def test_fingerprints_tell_settings_apart_and_nothing_else() -> None:
    assert fingerprint(TrainSpec()) == fingerprint(TrainSpec(epochs=3))
    assert fingerprint(TrainSpec(learning_rate=1)) == fingerprint(TrainSpec(learning_rate=1.0))
    assert fingerprint(TrainSpec()) != fingerprint(TrainSpec(seed=43))
    assert fingerprint({"x": {2, 1}}) == fingerprint({"x": [1, 2]})
    assert fingerprint({"x": Path("a/b")}) == fingerprint({"x": "a/b"})
    assert fingerprint(np.array([1.5, 2.0])) == fingerprint([1.5, 2.0])
    assert fingerprint(["a", "b"]) != fingerprint(["ab"])


def test_the_fingerprint_is_the_same_in_another_process_and_release() -> None:
    code = "from polyhead.core.values import *; print(fingerprint({'b': [1, 2.5, None], 'ä': {'y', 'x'}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"})
    assert done.stdout.strip() == fingerprint({"b": [1, 2.5, None], "ä": {"y", "x"}}) == "9303b5f6f667d1f2"


@pytest.mark.parametrize("obj", [float("nan"), {"x": float("inf")}, object(), lambda: None, TrainSpec])
def test_what_has_no_stable_text_has_no_fingerprint(obj: object) -> None:
    with pytest.raises(SettingError):
        fingerprint(obj)


@pytest.mark.parametrize("model", [TrainSpec, SearchSpec])
def test_no_number_or_flag_is_read_kindly(model: type[TrainSpec] | type[SearchSpec]) -> None:
    """Pydantic would read `"1"` as 1 and `1` as true in a field that is not declared strict."""
    wrong = {bool: (1, "yes", "true"), int: ("1", True, 1.5, 1.0, [1]), float: ("1", True, [1.0])}
    for name, default in asdict(model()).items():
        for value in wrong.get(type(default), ()):
            with pytest.raises(SettingError, match=rf"^{name} = .*should be"):
                model(**{name: value})


def test_a_settings_class_stays_a_dataclass() -> None:
    spec = replace(TrainSpec(), epochs=5)
    assert asdict(spec)["epochs"] == 5
    assert spec == copy.deepcopy(spec) == pickle.loads(pickle.dumps(spec))
    with pytest.raises(FrozenInstanceError):
        spec.epochs = 6  # type: ignore[misc]
    with pytest.raises(SettingError, match="epochs = 0"):
        replace(spec, epochs=0)


def test_a_long_or_deep_value_is_shown_in_short() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("x" * 10_000, deep, list(range(10_000))):
        with pytest.raises(SettingError, match="epochs = ") as caught:
            TrainSpec(epochs=value)  # type: ignore[arg-type]
        assert len(str(caught.value)) < 200
