"""The recipe that trains small encoders: what it reads, how it starts, what it learns from, and that a stop changes nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, XLMRobertaForMaskedLM
from watch import Watch

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
sys.path.insert(0, str(RECIPES))

from pretraining.examples import FIRST_POSITION, batches  # noqa: E402
from pretraining.learning import learn  # noqa: E402
from pretraining.settings import ModelSpec, TextSpec, TrainingSpec, read_recipe  # noqa: E402
from pretraining.start import OFFSETS, from_translations, new_encoder  # noqa: E402
from pretraining.subwords import END, MASK, PAD, SPECIALS, Corpus, as_subwords, learn_tokenizer  # noqa: E402
from pretraining.text import read_groups  # noqa: E402

from polyhead.core.errors import DataFormatError, SettingError  # noqa: E402
from polyhead.core.progress import Silent  # noqa: E402

PLACES = ("house", "tree", "car")
GROUPS = [(f"the {a} sees a {b}", f"der {a}o sieht einen {b}o") for a in ("dog", "cat", "bird") for b in PLACES] * 4
SHAPE = ModelSpec(vocabulary=64, layers=2, heads=2, hidden=32, inner=32, positions=40, positional_heads=(2, 1))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return as_subwords(GROUPS, learn_tokenizer(GROUPS, vocabulary=64, positions=40))


def encoder(corpus: Corpus, spec: ModelSpec = SHAPE) -> XLMRobertaForMaskedLM:
    return new_encoder(spec, corpus, dropout=0.0, seed=0, vocabulary=spec.vocabulary)


def test_groups_come_from_files_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one line\n\n  \nanother\n", encoding="utf-8")
    (tmp_path / "b.tsv").write_text("Hund\tdog\tchien\n", encoding="utf-8")
    spec = TextSpec(lines=(str(tmp_path / "a.txt"),), parallel=(str(tmp_path / "b.tsv"),))
    assert list(read_groups(spec)) == [("one line",), ("another",), ("Hund", "dog", "chien")]
    (tmp_path / "b.tsv").write_text("Hund\tdog\nallein\n", encoding="utf-8")
    with pytest.raises(DataFormatError, match=r"b\.tsv:2: only one text"):
        list(read_groups(spec))
    with pytest.raises(DataFormatError, match=r"none\.txt: cannot be read"):
        list(read_groups(TextSpec(lines=(str(tmp_path / "none.txt"),))))


def test_phrases_are_groups_of_translations() -> None:
    groups = list(read_groups(TextSpec(phrases=5, languages=("en", "de", "zh"))))
    assert [len(group) for group in groups] == [3] * 5
    assert list(read_groups(TextSpec(phrases=5, languages=("en", "de", "zh")))) == groups


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[text]\n", "no text: set phrases, lines or parallel"),
        ("[text]\nphrases = 5\n[model]\nlayer = 3\n", "model.layer: unknown option; did you mean 'layers'"),
        ("[text]\nphrases = 5\n[model]\nhidden = 100\n", "hidden = 100: should be a multiple of heads = 8"),
        ("[text]\nphrases = 5\n[model]\nlayers = 1\n", "positional_heads = (5, 3, 3): there are 1 layers of 8 heads"),
        ("[text]\nphrases = 5\n[training]\nmasked = 2\n", "masked = 2"),
    ],
)
def test_bad_settings_are_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(SettingError) as caught:
        read_recipe(tmp_path / "r.toml")
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "r.toml"))


def test_the_shipped_recipe_can_be_read() -> None:
    assert read_recipe(RECIPES / "tiny.toml").text.phrases > 0


def test_positional_heads_look_where_they_should(corpus: Corpus) -> None:
    model = encoder(corpus).eval()
    model.set_attn_implementation("eager")
    line = torch.from_numpy(np.concatenate([[0], corpus.line(0)[:12], [END]]).astype(np.int64))[None]
    with torch.no_grad():
        attentions = model.roberta(line, output_attentions=True).attentions
    inner = range(3, line.shape[1] - 3)
    for layer, n_heads in enumerate(SHAPE.positional_heads):
        for head in range(n_heads):
            found = attentions[layer][0, head].argmax(dim=1).tolist()
            assert [found[i] for i in inner] == [i + OFFSETS[head] for i in inner], (layer, head)


def test_positions_and_words_have_dimensions_of_their_own(corpus: Corpus) -> None:
    embeddings = encoder(corpus).roberta.embeddings
    n_places = SHAPE.hidden // SHAPE.heads
    assert not embeddings.word_embeddings.weight[:, -n_places:].any()
    assert not embeddings.position_embeddings.weight[:, :-n_places].any()
    plain = encoder(corpus, ModelSpec(**{**vars(SHAPE), "positional_heads": (), "svd": False}))
    assert plain.roberta.embeddings.word_embeddings.weight[5:, -n_places:].all()


def test_translations_start_near_each_other() -> None:
    words = [("dog", "Hund"), ("cat", "Katze"), ("tree", "Baum"), ("house", "Haus"), ("car", "Auto")]
    rng = np.random.default_rng(0)
    subwords, starts, groups = [], [0], [0]
    for _ in range(200):
        chosen = rng.choice(5, 2, replace=False)
        for side in range(2):
            subwords += [len(SPECIALS) + 2 * int(i) + side for i in chosen]
            starts.append(len(subwords))
        groups.append(len(starts) - 1)
    corpus = Corpus(np.array(subwords, dtype=np.int32), np.array(starts), np.array(groups))
    found = from_translations(corpus, len(SPECIALS) + 2 * len(words), 4)[len(SPECIALS) :]
    cosines = found @ found.T / np.outer(*[np.linalg.norm(found, axis=1)] * 2)
    np.fill_diagonal(cosines, -1)
    assert cosines.argmax(axis=1).tolist() == [i + 1 - 2 * (i % 2) for i in range(10)]


def test_batches_hold_what_is_to_be_predicted(corpus: Corpus) -> None:
    spec = TrainingSpec(steps=1, subwords=200, pairs=0.5, masked=0.3, seed=3)
    made = [batch for batch, _ in zip(batches(corpus, spec, positions=40), range(30), strict=False)]
    predicted = sum(int((batch.labels != -100).sum()) for batch in made)
    words = sum(int(((batch.input_ids >= len(SPECIALS)) | (batch.input_ids == MASK)).sum()) for batch in made)
    assert predicted / words == pytest.approx(0.3, abs=0.03)
    pairs = 0
    for batch in made:
        assert batch.input_ids.numel() <= 200 or len(batch.input_ids) == 1
        shown, labels = batch.input_ids, batch.labels
        at = labels != -100
        assert (labels[at] >= len(SPECIALS)).all()
        assert ((shown == PAD) == (batch.attention_mask == 0)).all()
        assert (batch.position_ids[shown == PAD] == PAD).all()
        for places in batch.position_ids:
            begins = (places == FIRST_POSITION).sum().item()
            assert begins in (1, 2)
            pairs += begins == 2
    assert pairs > 10
    hidden = sum(int((batch.input_ids[batch.labels != -100] == MASK).sum()) for batch in made) / predicted
    assert hidden == pytest.approx(0.8, abs=0.05)


def test_batches_are_the_same_wherever_they_begin(corpus: Corpus) -> None:
    spec = TrainingSpec(steps=1, subwords=100)
    whole = [batch for batch, _ in zip(batches(corpus, spec, positions=40), range(12), strict=False)]
    later = next(batches(corpus, spec, positions=40, start=9))
    for name in ("input_ids", "attention_mask", "position_ids", "labels"):
        assert torch.equal(getattr(whole[9], name), getattr(later, name))


def test_a_stopped_training_ends_with_the_same_weights(corpus: Corpus, tmp_path: Path) -> None:
    spec = TrainingSpec(steps=12, subwords=200, dropout=0.1)
    settings: dict[str, Any] = {"positions": 40, "precision": "fp32"}

    def fresh() -> XLMRobertaForMaskedLM:
        return new_encoder(SHAPE, corpus, dropout=0.1, seed=0, vocabulary=64)

    whole = fresh()
    learn(whole, corpus, spec, resume_file=tmp_path / "whole", progress=Silent(), **settings)
    with pytest.raises(KeyboardInterrupt):
        learn(
            fresh(),
            corpus,
            spec,
            resume_file=tmp_path / "s",
            progress=Watch(5, lambda: os.kill(os.getpid(), signal.SIGINT)),
            **settings,
        )
    resumed = fresh()
    learn(resumed, corpus, spec, resume_file=tmp_path / "s", progress=Silent(), **settings)
    for (name, one), other in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_it_learns(corpus: Corpus, tmp_path: Path) -> None:
    spec = TrainingSpec(steps=150, subwords=400, learning_rate=3e-3)
    losses = learn(
        encoder(corpus), corpus, spec, positions=40, precision="fp32", resume_file=tmp_path / "training", progress=Silent()
    )
    assert len(losses) == 3
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.slow
def test_the_whole_recipe_leaves_a_folder_that_transformers_reads(tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("".join("\t".join(group) + "\n" for group in GROUPS), encoding="utf-8")
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        f'[text]\nparallel = ["{tmp_path}/pairs.tsv"]\n[model]\nvocabulary = 64\nlayers = 2\nheads = 2\nhidden = 32\ninner = 32\n'
        "positions = 40\npositional_heads = [2]\n[training]\nsteps = 5\nsubwords = 200\n"
    )
    command = [sys.executable, str(RECIPES / "pretrain.py"), str(recipe), "--out", str(tmp_path / "out"), "--half"]
    result = subprocess.run([*command, "--device", "cpu"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    model, tokenizer = (kind.from_pretrained(tmp_path / "out") for kind in (AutoModelForMaskedLM, AutoTokenizer))
    assert model(**tokenizer("the dog sees", return_tensors="pt")).logits.isfinite().all()
    assert json.loads((tmp_path / "out" / "pretraining.json").read_text())["settings"]["training"]["steps"] == 5
    again = subprocess.run(command, capture_output=True, text=True)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "holds something already" in again.stderr
