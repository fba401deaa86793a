"""The encoder in the package: small, loads with Transformers alone, reads every language, and has learnt something."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForMaskedLM

from polyhead.cli.main import main
from polyhead.core.heads import HeadMask
from polyhead.data.corpora import open_corpus
from polyhead.data.labels import LabelSet
from polyhead.data.phrases.generate import pretraining
from polyhead.data.tasks import task
from polyhead.models.environment import model_hash
from polyhead.models.loading import load_config, load_tagger, load_tokenizer
from polyhead.models.model_card import ModelCard, render_card
from polyhead.models.names import OWN_ENCODERS, model_folder
from polyhead.models.saving import densify

LANGUAGES = ("en", "de", "nl", "es", "ar", "he", "zh", "ja", "tr")
LIMIT = 8 * 2**20  # bytes


@pytest.mark.parametrize("name", OWN_ENCODERS)
def test_an_own_encoder_is_small_and_says_how_it_was_made(name: str) -> None:
    folder = model_folder(name)
    assert sum(path.stat().st_size for path in folder.iterdir()) < LIMIT
    assert {"README.md", "pretraining.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in folder.iterdir()}


def test_a_folder_of_that_name_goes_before_the_own_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_folder("polyhead/tiny").is_dir()
    Path("polyhead/tiny").mkdir(parents=True)
    assert model_folder("polyhead/tiny") == Path("polyhead/tiny")


def test_it_is_known_by_name_wherever_a_model_is() -> None:
    assert load_config("polyhead/tiny").num_hidden_layers == 4
    assert load_tagger("polyhead/tiny", labels=LabelSet(task("pos").labels), seed=0).dtype == torch.float32
    assert len(model_hash("polyhead/tiny")) == 64


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_reads_every_language_in_few_subwords(language: str) -> None:
    tokenizer = load_tokenizer("polyhead/tiny")
    sentences = open_corpus(f"phrases/{language}", "test").sentences
    words = [word for sentence in sentences for word in sentence.words]
    ids = tokenizer(words, is_split_into_words=True, add_special_tokens=False)["input_ids"]
    assert len(ids) < 2 * len(words)
    # characters of names that only test has are new to it, which shows where most characters are words
    assert ids.count(tokenizer.unk_token_id) < (0.1 if language in ("zh", "ja") else 0.01) * len(ids)


def test_it_guesses_hidden_words_of_new_sentences() -> None:
    tokenizer = load_tokenizer("polyhead/tiny")
    model = AutoModelForMaskedLM.from_pretrained(model_folder("polyhead/tiny"), dtype=torch.float32).eval()
    right = n = 0
    for (phrase,) in pretraining(("en",), 40, seed=7):
        ids = torch.tensor([tokenizer(" ".join(phrase.words))["input_ids"]])
        place = ids.shape[1] // 2
        told = int(ids[0, place])
        ids[0, place] = tokenizer.mask_token_id
        with torch.no_grad():
            right += int(model(input_ids=ids).logits[0, place].argmax() == told)
        n += 1
    assert right / n > 0.4  # the most frequent subword alone would be right in one of twenty


@pytest.mark.slow
def test_the_main_job_runs_on_it_with_nothing_else_at_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = "run --model polyhead/tiny --task pos --source phrases/en --target phrases/de phrases/zh --train-limit 100 --epochs 1"
    assert main([*names.split(), "--max-pruned", "4", "--out", str(tmp_path / "run")]) == 0
    assert "phrases/de" in capsys.readouterr().out


def test_the_own_encoder_keeps_its_tokenizer_and_its_name(tmp_path: Path) -> None:
    folder = densify("polyhead/tiny", tmp_path / "dense")
    assert load_tokenizer(folder).get_vocab() == load_tokenizer("polyhead/tiny").get_vocab()
    page = render_card(ModelCard(base_model="polyhead/tiny", task="pos"), HeadMask.full(4, 4), name="x", auto_class="AutoModel")
    assert "polyhead/tiny, fine-tuned for pos," in page
    assert "base_model" not in page  # there is no such model on the Hub


def test_a_folder_named_like_it_is_a_local_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("polyhead/tiny").mkdir(parents=True)
    page = render_card(ModelCard(base_model="polyhead/tiny", task="pos"), HeadMask.full(4, 4), name="x", auto_class="AutoModel")
    assert "fine-tuned from a local encoder" in page
