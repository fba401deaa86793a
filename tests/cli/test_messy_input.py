"""What newcomers do to the command line: one clear line, exit code 2, and nothing lost."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cli.cases import fit_arguments, refused

from polyhead.cli.inputs import note_sources
from polyhead.core.heads import HeadId, HeadScores
from polyhead.data.references import references
from polyhead.models.loading import load_saved
from polyhead.models.model_heads import head_mask
from polyhead.selection.score_files import write_scores


def test_the_text_to_be_tagged_is_not_overwritten(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    gold, link = tmp_path / "gold.conllu", tmp_path / "link.conllu"
    gold.write_bytes((treebank / "dev.conllu").read_bytes())
    link.symlink_to(gold)
    for out in (gold, link):
        refused(cli("predict", tagger, "--task", "pos", gold, "--out", out), "is also an input")
    assert gold.read_bytes() == (treebank / "dev.conllu").read_bytes()


def test_a_folder_in_a_files_place_and_a_file_in_a_folders(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.touch()
    refused(cli("predict", tagger, "--task", "pos", treebank / "dev.conllu", "--out", tmp_path), "--out", "is a folder")
    for out in (notes, notes / "m"):
        refused(
            cli("prune", tagger, "--heads", "0.1", "--out", out), f"--out {out}: {notes} is a file, not a folder; name another"
        )
        refused(cli(*fit_arguments(tagger, treebank, out)), f"--out {out}: {notes} is a file, not a folder")
    refused(cli(*fit_arguments(tagger, treebank, tmp_path / "n"), "--config", tmp_path), "cannot be read (Is a directory)")


def test_output_goes_through_links_and_devices(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    target, link = tmp_path / "target.conllu", tmp_path / "link.conllu"
    target.touch()
    link.symlink_to(target)
    assert cli("predict", tagger, "--task", "pos", treebank / "dev.conllu", "--out", link).code == 0
    assert link.is_symlink()
    assert target.stat().st_size
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen([sys.executable, "-c", f"print(len(open({str(pipe)!r}).read()))"], stdout=subprocess.PIPE)
    assert cli("predict", tagger, "--task", "pos", treebank / "dev.conllu", "--out", pipe).code == 0
    assert int(reader.communicate(timeout=30)[0]) == len(target.read_text())
    assert pipe.is_fifo()


def test_scores_must_cover_the_model(cli: Callable, tagger: Path, tmp_path: Path) -> None:
    values = np.arange(8.0).reshape(2, 4)
    values[0, 2] = np.nan
    write_scores(tmp_path / "hole.tsv", HeadScores(values, "gradient"))
    options = ["--n-pruned", "2", "--out", tmp_path / "out"]
    refused(cli("prune", tagger, "--scores", tmp_path / "hole.tsv", *options), "hole.tsv: no score for head 0.2")
    write_scores(tmp_path / "other.tsv", HeadScores(np.ones((12, 12)), "gradient"))
    refused(
        cli("prune", tagger, "--scores", tmp_path / "other.tsv", *options), "other.tsv: is for 12 layers of 12 heads", "2 of 4"
    )
    (tmp_path / "mask.json").write_text("[[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]")
    refused(cli("prune", tagger, "--mask", tmp_path / "mask.json", "--out", tmp_path / "out"), "mask.json: is for 3 layers")
    assert not (tmp_path / "out").exists()


def test_heads_that_were_gone_are_told_apart(cli: Callable, tagger: Path, tmp_path: Path) -> None:
    write_scores(tmp_path / "s.tsv", HeadScores(np.arange(8.0).reshape(2, 4), "gradient"))
    assert cli("prune", tagger, "--heads", "0.0", "--out", tmp_path / "a").code == 0
    again = cli("prune", tmp_path / "a", "--heads", "0.0,0.1", "--out", tmp_path / "b")
    assert "1 of the 2 heads were already pruned" in again.err
    assert head_mask(load_saved(tmp_path / "b")).pruned == (HeadId(0, 0), HeadId(0, 1))
    more = cli("prune", tmp_path / "a", "--scores", tmp_path / "s.tsv", "--n-pruned", "2", "--out", tmp_path / "c")
    assert more.err == ""
    assert head_mask(load_saved(tmp_path / "c")).pruned == (HeadId(0, 0), HeadId(0, 1), HeadId(0, 2))
    refused(cli("prune", tagger, "--heads", "0.1,0.1", "--out", tmp_path / "d"), "--heads: 0.1 is named more than once")


def test_what_the_model_cannot_predict_is_said(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("-DOCSTART- O\n\nthe B-PLANET\ndog O\n")
    found = cli(
        "evaluate",
        ner_tagger,
        "--task",
        "ner",
        "--target",
        f"en={tmp_path}/t.txt",
        "--scheme",
        "iob2",
        "--columns",
        "space:token=1,tag=2",
    )
    assert found.code == 0
    assert "1 x a word with a label that the model cannot predict, counted as wrong" in found.err
    assert f"predicts B-PER, I-PER, but en={tmp_path}/t.txt is labelled B-PLANET: they share no label, so every" in found.err
    assert "DOCSTART" not in found.err


def test_a_sources_test_file_is_said_to_be_unread(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    arguments = fit_arguments(tagger, treebank, tmp_path / "m")
    arguments[arguments.index("--source") + 1] = f"en={treebank}/train.conllu:{treebank}/dev.conllu:{tmp_path}/never.conllu"
    assert "never.conllu is not read" in cli(*arguments).err


def test_a_source_may_leave_out_what_comes_last(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    arguments = fit_arguments(tagger, treebank, tmp_path / "m")
    arguments[arguments.index("--source") + 1] = f"en={treebank}/train.conllu:{treebank}/dev.conllu"
    assert cli(*arguments, "--json").json["dev"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("german=x.conllu", "'german' is not a language code"),
        ("de=no/such.conllu", "no/such.conllu: no such file"),
        ("de=.", ".: a folder; expected a file"),
        ("de=/", "/: a folder; expected a file"),
        ("de=a:b/such.conllu", "no test file b/such.conllu; check the path, which cannot hold ':'"),
        ("ud/en_ewtt", "did you mean ud/en_ewt"),
    ],
)
def test_targets_that_are_none(cli: Callable, tagger: Path, tmp_path: Path, target: str, said: str) -> None:
    refused(cli("evaluate", tagger, "--task", "pos", "--data", tmp_path, "--target", target), said)


def test_more_threads_than_processors(cli: Callable, tagger: Path, treebank: Path) -> None:
    target = f"en={treebank}/dev.conllu"
    refused(cli("evaluate", tagger, "--task", "pos", "--target", target, "--threads", 9999), "--threads 9999: this machine has")


def test_one_settings_file_serves_run_and_fit(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    path = tmp_path / "both.toml"
    path.write_text('target = ["ud/de_gsd"]\nseeds = [1, 2]\nmax_pruned = 3\n[search]\nobjective = "best"\n[train]\nepochs = 1\n')
    assert cli(*fit_arguments(tagger, treebank, tmp_path / "m"), "--config", path).code == 0
    path.write_text('strict = "yes"\nconfig = "x"\nepochs = true\ntarged = 1\n')
    refused(
        cli(*fit_arguments(tagger, treebank, tmp_path / "n"), "--config", path),
        "both.toml: strict = 'yes': should be true or false",
        "config: not allowed in a settings file",
        "epochs = True: should be a whole number",
        "targed: unknown option",
    )


@pytest.mark.parametrize("option", ["--max-pruned", "--min-per-layer", "--delta"])
def test_bad_numbers_are_shown(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path, option: str) -> None:
    data = ["--source", f"en={treebank}/train.conllu:{treebank}/dev.conllu", "--target", f"en={treebank}/test.conllu"]
    arguments = ["run", "--model", tagger, "--task", "pos", *data, "--out", tmp_path / "r"]
    refused(cli(*arguments, option, "-1"), f"{option} = -1")
    refused(cli("prune", tagger, "--heads", ",,", "--out", tmp_path / "p"), "--heads ',,': a name is missing beside a comma")
    refused(cli(*arguments, "--controls", "noise,"), "--controls 'noise,': a name is missing")


def test_a_closed_or_full_stdout(tmp_path: Path) -> None:
    call = f"{sys.executable} -c 'import sys; from polyhead.cli.main import main; sys.exit(main([\"methods\"]))'"
    closed = subprocess.run(f"{call} >&-", shell=True, capture_output=True, text=True)
    assert (closed.returncode, closed.stderr.count("\n")) == (2, 1)
    assert "stdout is closed" in closed.stderr
    if Path("/dev/full").is_char_device():
        full = subprocess.run(f"{call} >/dev/full", shell=True, capture_output=True, text=True)
        assert (full.returncode, full.stderr.count("\n")) == (2, 1)
        assert "cannot be written" in full.stderr


def test_a_checkpoint_is_readable_as_its_folder_is(cli: Callable, tagger: Path, tmp_path: Path) -> None:
    assert cli("prune", tagger, "--heads", "0.1", "--out", tmp_path / "a").code == 0
    assert len({path.stat().st_mode for path in (tmp_path / "a").iterdir()}) == 1


def test_a_source_without_a_dev_split_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    console = SimpleNamespace(note=said.append)
    texts = [f"en={tmp_path}/train.conllu", f"de={tmp_path}/train.conllu:{tmp_path}/dev.conllu:"]
    note_sources(references(texts, "source"), console, holds_out=True)  # type: ignore[arg-type]
    assert len(said) == 1
    assert said[0].startswith(f"note: en={tmp_path}/train.conllu: no dev split, so a tenth of its training sentences is held out")


@pytest.mark.parametrize("command", ["rank", "doctor", "curve"])
def test_a_file_beside_a_corpus(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path, command: str) -> None:
    scores = tmp_path / "scores.tsv"
    write_scores(scores, HeadScores(np.arange(8.0).reshape(2, 4), "mine"))
    more = ["--scores", scores] if command == "curve" else []
    text = ["--data", treebank / "dev.conllu", "--corpus", "phrases/en"]
    refused(cli(command, tagger, "--task", "pos", *text, *more), "dev.conllu: is not a folder, but phrases/en names a corpus")


def test_a_wrong_scheme_is_asked_about(cli: Callable, ner_tagger: Path, tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv"
    path.write_text("the\tB-PER\ndog\tI-PER\nruns\tO\n\n" * 30)
    result = cli("evaluate", ner_tagger, "--task", "ner", "--target", f"en={path}", "--scheme", "bioes")
    asked = "in all 30 of 30 spans: is the scheme iob2? see polyhead data check"
    assert (result.code, asked in result.err) == (0, True), result
    path.write_text("the\tB-PER\ndog\tE-PER\nruns\tO\n\n" * 30 + "the\tB-PER\n\n")
    result = cli("evaluate", ner_tagger, "--task", "ner", "--target", f"en={path}", "--scheme", "bioes")
    assert "1 x span without E-" in result.err
    assert "is the scheme" not in result.err


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2"])
def test_output_under_a_compressed_name(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"x.conllu{suffix}"
    refused(cli("predict", tagger, "--task", "pos", treebank / "dev.conllu", "--out", out), f"leave {suffix} out of the name")
    assert not out.exists()


def test_an_encoder_is_to_be_fine_tuned(cli: Callable) -> None:
    result = cli("evaluate", "polyhead/tiny", "--task", "pos", "--target", "phrases/de")
    refused(result, "has no token classifier; fine-tune it with polyhead fit")


def test_a_seed_too_large(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    result = cli(*fit_arguments(tagger, treebank, tmp_path / "out"), "--seed", "9" * 23)
    refused(result, "--seed = 9999", "should be at most 4294967295")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seeds = []", "settings.toml: seeds = []: should have at least one item"),
        ("seeds = [1, 1]", "settings.toml: seeds = [1, 1]: should name each seed once"),
        ('controls = ["foo"]', "settings.toml: controls = 'foo': should be"),
        ("[trian]\nepochs = 1", "settings.toml: trian: unknown option; did you mean 'train'?"),
    ],
)
def test_settings_files_are_named(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    data = ["--source", f"en={treebank}/train.conllu", "--target", f"en={treebank}/test.conllu"]
    refused(cli("run", "--model", tagger, "--task", "pos", *data, "--out", tmp_path / "out", "--config", path), said)


def test_messages_name_option_and_next_step(cli: Callable, tagger: Path, treebank: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.tsv"
    rows = [f"{layer}\t{head}\t1.0" for layer in range(2) for head in range(4)]
    columns = cli("rank", tagger, "--task", "pos", "--data", treebank / "dev.conllu", "--columns", "tab:token=1,tag=1")
    refused(columns, "--columns: token and tag are both column 1; give each its own")
    both = cli("prune", tagger, "--heads", "0.1", "--scores", path, "--out", tmp_path / "out")
    refused(both, "--heads and --scores: give one of --heads, --mask, --scores")
    header = '# polyhead scores schema 1 method=mine\n# {"n_layers": 2, "n_heads": 4}\nlayer\thead\tscore\n'
    for content, said in (
        ("\n".join(rows[:5] + rows[7:]), "s.tsv:1: 2 of 8 heads have no score, the first is 1.1"),
        (header + "\n".join([*rows, "7\t0\t1.0"]), "s.tsv:12: head 7.0 is outside the 2 layers x 4 heads of the header"),
    ):
        path.write_text(content)
        refused(cli("prune", tagger, "--scores", path, "--n-pruned", 1, "--out", tmp_path / "out"), said)


def test_predict_says_what_it_reads(cli: Callable, tagger: Path, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("the dog runs .\na cat\n")
    refused(cli("predict", tagger, "--task", "pos", path), "polyhead needs words: CoNLL-U, columns or records (--columns)")
    path.write_text("")
    empty = cli("predict", tagger, "--task", "pos", path)
    refused(empty, "is complete; ")
    missing = cli("predict", tagger, "--task", "pos", tmp_path / "none.txt")
    refused(missing, "no such file")
    assert "data check" not in missing.err
