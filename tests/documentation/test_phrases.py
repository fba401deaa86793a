"""The page about the phrases says of them what is so, and of their difficulty what was measured."""

import json
import re
from pathlib import Path

from polyhead.data.phrases.files import SIZES, checksums, split_phrases
from polyhead.data.phrases.generate import draws
from polyhead.data.phrases.inventory import inventory

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT.joinpath("docs/phrases.md").read_text(encoding="utf-8")
RESULT = json.loads(ROOT.joinpath("benchmarks/results/phrase_difficulty.json").read_text(encoding="utf-8"))["accuracy"]
TINY = ROOT / "benchmarks/results/tiny_encoder.json"
KNOWN = inventory()
STALE = "These figures were measured before the tables were last changed"


def test_it_says_that_the_text_is_generated_and_whose_it_is() -> None:
    assert "**This is generated text.**" in PAGE
    assert "Licence: Apache-2.0" in PAGE


def test_it_counts_what_there_is() -> None:
    for language in KNOWN.languages:
        counts = [f"{sum(len(phrase.words) for phrase in split_phrases(language, split)):,}" for split in SIZES]
        assert f"| {language} | {' | '.join(counts)} |" in PAGE
    sizes = (
        len(KNOWN.frames),
        len({frame.intent for frame in KNOWN.frames.values()}),
        sum(map(len, KNOWN.fillers.values())),
        len(KNOWN.fillers),
    )
    assert "{} frames with {} intents, {} fillers in {} classes".format(*sizes) in PAGE
    slots = sorted({role.slot for frame in KNOWN.frames.values() for role in frame.roles if role.slot})
    assert f"{len(slots)}: {', '.join(slots)} |" in PAGE


def test_it_says_how_much_is_unseen() -> None:
    used = {}
    for split, n in SIZES.items():
        drawn = [draw for draw, _ in zip(draws(split), range(n), strict=False)]
        fillers = {(role.filler_class, draw.fillers[role.name]) for draw in drawn for role in draw.frame.roles}
        used[split] = fillers, {draw.frame.name for draw in drawn}
    for split in ("dev", "test"):
        shares = [
            f"{len(own - seen) / len(own):.0%}".replace("%", " %") for own, seen in zip(used[split], used["train"], strict=True)
        ]
        assert f"| {split} | {SIZES[split]} | {' | '.join(shares)} |" in PAGE


def test_its_figures_are_those_of_the_file_of_results() -> None:
    assert re.findall(r"^\| \| (en .*?) \|$", PAGE, re.MULTILINE) == [" | ".join(RESULT)] * 2
    accuracy = json.loads(TINY.read_text(encoding="utf-8"))["encoders"]["polyhead/tiny"]["accuracy"]
    for row, key in (("all heads", "all_heads"), ("all heads ablated", "no_heads")):
        means = [f"{accuracy[language][key]['mean']:.1f}" for language in RESULT]
        assert f"| {row} | {' | '.join(means)} |" in PAGE
    for row, key in (("all heads", "all_heads"), ("all heads ablated", "no_heads")):
        assert f"| {row} | {' | '.join(f'{100 * scores[key]:.1f}' for scores in RESULT.values())} |" in PAGE
    is_stale = any(scores["sha256"] != checksums()[f"{language}/test.conllu"] for language, scores in RESULT.items())
    assert (STALE in PAGE) == is_stale, (
        "run python benchmarks/phrase_difficulty.py, then mend the figures and the sentence below them"
    )
    if not is_stale:
        assert 0.85 <= RESULT["en"]["all_heads"] <= 0.98
        assert RESULT["en"]["all_heads"] - RESULT["en"]["no_heads"] >= 0.05
