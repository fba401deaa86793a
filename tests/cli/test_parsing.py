"""Several values after one flag, and settings files."""

import shlex
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhead.cli.main import COMMANDS, main
from polyhead.cli.parsing import expand_lists, parse
from polyhead.cli.requests import PredictRequest
from polyhead.cli.train_options import SearchOptions, TrainOptions
from polyhead.cli.train_options import given as given_options
from polyhead.cli.train_requests import FitRequest, RunRequest, chosen_seeds
from polyhead.core.errors import SettingError
from polyhead.core.specs import SearchSpec, TrainSpec
from polyhead.studies.settings import run_settings

NEEDED = ["--model", "m", "--task", "pos", "--source", "ud/en_ewt", "--target", "ud/de_gsd", "--out", "o"]
VALUES = st.lists(st.text(alphabet="abc/_=:.", min_size=1), min_size=1, max_size=4)


def run(*arguments: str) -> RunRequest:
    request = parse(RunRequest, arguments, name="run")
    assert request is not None
    return request


@given(VALUES, VALUES)
def test_one_flag_with_several_values_is_the_flag_repeated(first: list[str], second: list[str]) -> None:
    arguments = ["--out", "o", "--target", *first, "--json", "--target", *second]
    repeated = [word for value in first for word in ("--target", value)]
    again = [word for value in second for word in ("--target", value)]
    assert expand_lists(arguments, {"--target"}) == ["--out", "o", *repeated, "--json", *again]


def test_values_end_at_the_next_option_and_a_lone_dash_is_a_value() -> None:
    assert expand_lists(["--t", "-", "a", "-x", "b"], {"--t"}) == ["--t", "-", "--t", "a", "-x", "b"]
    assert expand_lists(["--", "--t", "a", "b"], {"--t"}) == ["--", "--t", "a", "b"]


def test_the_line_of_the_contract() -> None:
    line = (
        "--model ../shared/models/mini --task pos --data ../shared/data --source ud/en_ewt --target ud/de_gsd ud/nl_alpino "
        "ud/ar_padt --max-pruned 12 --search screened --seed 42 --out runs/en-pos"
    )
    request = run(*shlex.split(line))
    assert request.target == ["ud/de_gsd", "ud/nl_alpino", "ud/ar_padt"]
    assert request.source == ["ud/en_ewt"]
    assert (request.search.max_pruned, request.search.how, chosen_seeds(request)) == (12, "screened", [42])
    assert request.out == Path("runs/en-pos")


def test_seeds_come_from_one_option() -> None:
    assert chosen_seeds(run(*NEEDED)) == [42]
    assert chosen_seeds(run(*NEEDED, "--seeds", "42", "43", "44")) == [42, 43, 44]
    with pytest.raises(SettingError, match="--seed 1 and --seeds 2 3"):
        chosen_seeds(run(*NEEDED, "--seed", "1", "--seeds", "2", "3"))


def test_options_left_out_are_the_protocols_affair() -> None:
    request = run(*NEEDED, "--protocol", "paper", "--epochs", "1", "--freeze", "embeddings")
    settings = run_settings(
        model="m",
        task="pos",
        sources=["a/b"],
        targets=["a/c"],
        protocol=request.protocol,
        search=given_options(request.search),
        train=given_options(request.train),
    )
    assert (settings.search.how, settings.search.include_zero) == ("sweep", False)
    assert (settings.train.order, settings.train.anchor, settings.train.learning_rate) == ("file", "first", 5e-5)
    assert (settings.train.epochs, settings.train.freeze) == (1, ("embeddings",))
    sound = run_settings(model="m", task="pos", sources=["a/b"], targets=["a/c"], train=given_options(run(*NEEDED).train))
    assert sound.train.learning_rate is None


def test_a_settings_file_answers_where_the_arguments_are_silent(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        'model = "m"\ntask = "pos"\nsource = ["ud/en_ewt", "ud/zh_gsdsimp"]\ntarget = ["ud/de_gsd"]\nout = "o"\nseeds = [1, 2]\n'
        'strict = true\nmax_pruned = 3\n[train]\nepochs = 2\nbatch_size = 8\n[search]\nhow = "sweep"\nmin_per_layer = 1\n'
    )
    request = run("--config", str(path), "--target", "ud/ar_padt", "ud/fa_seraji", "--epochs", "5")
    assert request.source == ["ud/en_ewt", "ud/zh_gsdsimp"]
    assert request.target == ["ud/ar_padt", "ud/fa_seraji"]
    assert (request.train.epochs, request.train.batch_size) == (5, 8)
    assert (request.search.how, request.search.min_per_layer, request.search.max_pruned) == ("sweep", 1, 3)
    assert (request.files.strict, chosen_seeds(request)) == (True, [1, 2])
    assert chosen_seeds(run("--config", str(path), "--seed", "7")) == [7]
    assert replace(run(f"--config={path}"), config=None) == replace(run("--config", str(path)), config=None)


def test_train_and_search_are_tables_only_where_they_are_written_as_tables(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('search = "sweep"\n[train]\nepochs = 2\n')
    request = run("--config", str(path), *NEEDED)
    assert (request.search.how, request.train.epochs) == ("sweep", 2)
    path.write_text("train = 3\n")
    with pytest.raises(SettingError, match="train: unknown option"):
        run("--config", str(path), *NEEDED)


def test_all_faults_of_a_settings_file_are_reported_together(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('model = "m"\nsorce = "x"\n[train]\nepochs = 0\nwarm = 1\n[search]\nhow = "brute"\n')
    with pytest.raises(SettingError) as error:
        run("--config", str(path))
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert all(
        part in message
        for part in ("sorce: unknown option; did you mean 'source'", "train.epochs = 0", "train.warm", "search.how")
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot be read"), ("model = \n", "is not TOML"), ("help = true\n", "cannot stand in a settings file")],
)
def test_a_bad_settings_file_is_named(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "run.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingError, match=said):
        run("--config", str(path), *NEEDED)


def test_arguments_stand_beside_options() -> None:
    request = parse(PredictRequest, ["model", "--task", "pos", "-"], name="predict")
    assert request is not None
    assert (request.model, request.file) == ("model", "-")


def test_training_is_asked_for_with_the_same_options_everywhere() -> None:
    options = ["--epochs", "2", "--freeze", "embeddings", "--scheme", "bio", "--threads", "1"]
    request = parse(FitRequest, [*NEEDED[:6], "--out", "o", *options], name="fit")
    assert request is not None
    whole = run(*NEEDED, *options)
    assert (request.train, request.files, request.machine) == (whole.train, whole.files, whole.machine)


def test_every_setting_of_the_specs_has_an_option() -> None:
    assert {item.name for item in fields(TrainOptions)} == {item.name for item in fields(TrainSpec)} - {"seed"}
    assert {item.name for item in fields(SearchOptions)} == {item.name for item in fields(SearchSpec)} - {"include_zero"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_eighty_columns(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert "…" not in text  # nothing cut off
    assert max(map(len, text.splitlines())) <= 80
