"""What the tests of several commands say in one word."""

from pathlib import Path


def refused(result, *said: str) -> None:
    lines = [line for line in result.err.splitlines() if not line.startswith("note: ")]
    assert (result.code, result.out, len(lines)) == (2, "", 1), result
    assert all(part in lines[0] for part in said), result.err


def fit_arguments(tagger: Path, treebank: Path, out: Path) -> list[object]:
    source = f"en={treebank}/train.conllu:{treebank}/dev.conllu:"
    return ["fit", "--model", tagger, "--task", "pos", "--source", source, "--epochs", 1, "--batch-size", 4, "--out", out]
