"""A hub id stands for one commit, and everything is read from its snapshot."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance.tiny import logits, tiny_inputs, tiny_model

from polyhead.core.errors import CheckpointError
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.environment import model_hash
from polyhead.models.loading import load_saved
from polyhead.models.model_card import ModelCard
from polyhead.models.saving import save_pruned
from polyhead.models.sources import _snapshot, checkpoint_folder

CHOICE = EncodingChoice(anchor="first", max_length=64, precision="fp32", words="surface", task="ner")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
Asked = list[tuple[str, str | None, bool]]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """One model on the Hub; gives what was asked of it: id, revision, whether weights were wanted."""
    folder = save_pruned(tiny_model("bert"), tmp_path / "snapshots" / COMMIT, encoding=CHOICE, card=ModelCard(task="ner"))
    asked: Asked = []

    def download(name: str, *, revision: str | None, allow_patterns: list[str], ignore_patterns: list[str]) -> str:
        asked.append((name, revision, "model.safetensors" in allow_patterns))
        assert not any(pattern.endswith((".bin", ".py")) for pattern in allow_patterns)
        return str(folder)

    monkeypatch.setattr("polyhead.models.sources.snapshot_download", download)
    _snapshot.cache_clear()
    yield asked
    _snapshot.cache_clear()


def test_a_hub_id_is_resolved_once(hub: Asked) -> None:
    model = load_saved("org/model", revision="v1")
    assert logits(model, tiny_inputs()).equal(logits(tiny_model("bert"), tiny_inputs()))
    assert EncodingChoice.read("org/model", revision="v1") == CHOICE
    assert ModelCard.read("org/model", revision="v1") == ModelCard(task="ner")
    assert model_hash("org/model", revision="v1") == COMMIT
    assert hub == [("org/model", "v1", False), ("org/model", COMMIT, True)]


def test_a_model_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    class HttpError(Exception):
        pass

    def fail(*_: object, **__: object) -> str:
        raise HttpError("403 Forbidden\nfor url")

    assert EncodingChoice.read("org/nowhere") is None
    monkeypatch.setattr("polyhead.models.sources.snapshot_download", fail)
    with pytest.raises(
        CheckpointError,
        match=r"org/nowhere: no such folder here, and loading it as a hub id failed \(HttpError: 403 Forbidden for url\)$",
    ):
        checkpoint_folder("org/nowhere")
