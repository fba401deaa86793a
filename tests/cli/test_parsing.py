"""Several values after one flag, and settings files."""

import shlex
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhead.cli.main import COMMANDS, main
from polyhead.cli.parsing import check_values, expand_lists, parse, with_flags, with_values
from polyhead.cli.prune import mask_files
from polyhead.cli.request_options import options
from polyhead.cli.requests import EvaluateRequest, PredictRequest, PruneRequest, RankRequest
from polyhead.cli.train_requests import FitRequest, RunRequest
from polyhead.core.errors import SettingError, UnknownNameError
from polyhead.core.specs import SearchSpec, TrainSpec
from polyhead.studies.settings import RunSettings, run_settings

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
    assert request.settings.targets == ("ud/de_gsd", "ud/nl_alpino", "ud/ar_padt")
    assert request.settings.sources == ("ud/en_ewt",)
    assert (request.settings.search.max_pruned, request.settings.search.how) == (12, "screened")
    assert request.chosen_seeds == (42,)
    assert request.out == Path("runs/en-pos")


def test_seeds_come_from_one_option() -> None:
    assert run(*NEEDED).chosen_seeds == (42,)
    assert run(*NEEDED, "--seeds", "42", "43", "44").chosen_seeds == (42, 43, 44)
    with pytest.raises(SettingError, match="--seed 1 and --seeds 2 3"):
        run(*NEEDED, "--seed", "1", "--seeds", "2", "3")


def test_options_left_out_are_the_protocols_affair() -> None:
    settings = run(*NEEDED, "--protocol", "paper", "--epochs", "1", "--freeze", "embeddings").settings
    assert (settings.search.how, settings.search.include_zero) == ("sweep", False)
    assert (settings.train.order, settings.train.anchor, settings.train.learning_rate) == ("file", "first", 5e-5)
    assert (settings.train.epochs, settings.train.freeze) == (1, ("embeddings",))
    sound = run(*NEEDED).settings
    assert sound.train.learning_rate is None
    assert sound == run_settings(model="m", task="pos", sources=["ud/en_ewt"], targets=["ud/de_gsd"])


def test_a_settings_file_answers_where_the_arguments_are_silent(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        'model = "m"\ntask = "pos"\nsource = ["ud/en_ewt", "ud/zh_gsdsimp"]\ntarget = ["ud/de_gsd"]\nout = "o"\nseeds = [1, 2]\n'
        'strict = true\nmax_pruned = 3\n[train]\nepochs = 2\nbatch_size = 8\n[search]\nhow = "sweep"\nmin_per_layer = 1\n'
    )
    request = run("--config", str(path), "--target", "ud/ar_padt", "ud/fa_seraji", "--epochs", "5")
    settings = request.settings
    assert (settings.sources, settings.targets) == (("ud/en_ewt", "ud/zh_gsdsimp"), ("ud/ar_padt", "ud/fa_seraji"))
    assert (settings.train.epochs, settings.train.batch_size) == (5, 8)
    assert (settings.search.how, settings.search.min_per_layer, settings.search.max_pruned) == ("sweep", 1, 3)
    assert (settings.strict, request.chosen_seeds) == (True, (1, 2))
    assert run("--config", str(path), "--seed", "7").chosen_seeds == (7,)
    assert replace(run(f"--config={path}"), config=None) == replace(run("--config", str(path)), config=None)


def test_train_and_search_are_tables_only_where_they_are_written_as_tables(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('search = "sweep"\n[train]\nepochs = 2\n')
    request = run("--config", str(path), *NEEDED)
    assert (request.settings.search.how, request.settings.train.epochs) == ("sweep", 2)
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
    [
        ("epochs = [1]", "epochs = [1]: should be a whole number"),
        ("[train]\nepochs = true", "train.epochs = True: should be a whole number"),
        ('[train]\nepochs = "3"', "train.epochs = '3': should be a whole number"),
        ("max_pruned = 3.0", "max_pruned = 3.0: should be a whole number"),
        ('source = "phrases/en"', "source = 'phrases/en': should be a list"),
        ("out = 3", "out = 3: should be a path"),
        ('strict = "yes"', "strict = 'yes': should be true or false"),
        ("seeds = [1, true]", "seeds = True: should be a whole number"),
        ("train = {epochs = {a = 1}}", "should be a whole number"),
        ("epochs = 1\n[train]\nepochs = 2", "train.epochs: --epochs is set twice; keep one of the two"),
        ("max_pruned = 1\nmax-pruned = 1", "max-pruned: --max-pruned is set twice"),
        ("seed = 1\n[train]\nseed = 2", "train.seed: --seed is set twice"),
    ],
)
def test_a_settings_file_is_read_strictly(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(SettingError) as error:
        run("--config", str(path), *NEEDED)
    assert str(error.value).startswith(f"{path}: ")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("model = \n", "not TOML"),
        ("help = true\n", "not allowed in a settings file"),
        (f"x = {'[' * 5000}", "nested too deeply"),
    ],
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
    own = {item.name: getattr(request.settings, item.name) for item in fields(request.settings)}
    assert own == {name: getattr(whole.settings, name) for name in own}
    assert request.machine == whole.machine


def test_every_setting_has_one_option_with_the_models_default() -> None:
    found = {option.path: option for option in options(RunRequest) if option.of_settings}
    train = {path[-1] for path in found if path[1] == "train"}
    assert train == {item.name for item in fields(TrainSpec)} - {"seed"}
    assert {path[-1] for path in found if path[1] == "search"} == {item.name for item in fields(SearchSpec)} - {"include_zero"}
    assert {path[1] for path in found} == {item.name for item in fields(RunSettings)} - {"sample_seed", "folder"}
    assert (found["settings", "train", "epochs"].default, found["settings", "search", "max_pruned"].default) == (3, 12)
    answered = {path[-1] for path, option in found.items() if option.preset}
    assert answered == {"method", "normalisation", "order", "anchor", "learning_rate", "warmup", "how"}
    for_fit = {option.path: option for option in options(FitRequest) if option.of_settings}
    assert for_fit["settings", "train", "order"].default == "buckets"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--epochs", "1_000", "--epochs = '1_000': should be a whole number"),
        ("--epochs", "٣", "--epochs = '٣': should be a whole number"),
        ("--epochs", "2.0", "--epochs = '2.0': should be a whole number"),
        ("--epochs", "9" * 5000, "should be a whole number"),
        ("--epochs", "-1", "--epochs = -1: should be at least 1"),
        ("--train-limit", "0", "--train-limit = 0: should be at least 1"),
        ("--learning-rate", "1_0e-5", "--learning-rate = '1_0e-5': should be a number"),
        ("--learning-rate", "nan", "--learning-rate = 'nan': should be a number"),
        ("--learning-rate", "0", "--learning-rate = 0.0: should be greater than 0"),
        ("--seeds", "1.5", "--seeds = '1.5': should be a whole number"),
        ("--threads", "0", "--threads = 0: should be at least 1"),
        ("--objective", "within:٣", "--objective = 'within:٣': should be best, or within:X"),
        ("--model", "", "--model = '': should not be empty"),
    ],
)
def test_values_are_read_strictly_and_shown(option: str, value: str, said: str) -> None:
    with pytest.raises(SettingError) as error:
        run(*NEEDED, option, value)
    assert said in str(error.value)
    assert len(str(error.value)) < 200


def test_all_values_that_are_not_allowed_are_named_together() -> None:
    with pytest.raises(SettingError, match=r"--epochs = 0: .*; --search = 'x': .*; --threads = 'all': "):
        run(*NEEDED, "--epochs", "0", "--search", "x", "--threads", "all")


def test_a_list_option_that_took_the_argument_is_named() -> None:
    with pytest.raises(SettingError, match="missing argument MODEL: --target took 'tagger'; write polyhead evaluate MODEL first"):
        parse(EvaluateRequest, ["--target", "phrases/de", "tagger", "--task", "pos"], name="evaluate")


@pytest.mark.parametrize("code", ["English!", "", "german", "e"])
def test_a_language_is_a_code(code: str) -> None:
    with pytest.raises(SettingError, match=r"--language = '.*': should be a BCP-47 code"):
        parse(RankRequest, ["m", "--task", "pos", "--language", code], name="rank")


def test_a_tilde_is_expanded_once_in_every_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "run.toml").write_text('out = "~/r"\n')
    arguments = ["--model", "~/m", "--data=~/d", "--task", "pos", "--source", "phrases/en", "--target", "phrases/de"]
    request = run(*arguments, "--config", "~/run.toml")
    assert (request.out, request.settings.model, request.settings.data) == (
        tmp_path / "r",
        str(tmp_path / "m"),
        str(tmp_path / "d"),
    )
    settings = run_settings(model=Path("~/m"), task="pos", sources=["phrases/en"], targets=["phrases/de"], data="~/d")
    assert (settings.model, settings.data) == (str(tmp_path / "m"), str(tmp_path / "d"))
    prune = parse(PruneRequest, ["~/m", "--out", "~/p", "--mask=~/k.json"], name="prune")
    assert prune is not None
    assert (prune.model, prune.out) == (str(tmp_path / "m"), tmp_path / "p")
    assert mask_files(prune.mask) == {"": tmp_path / "k.json"}
    assert mask_files(["de=~/k.json"]) == {"de": tmp_path / "k.json"}


def test_settings_are_checked_before_anything_is_imported_and_named_as_options() -> None:
    with pytest.raises(SettingError, match="--prune = 'after': protocol 'paper-released' masks heads"):
        run(*NEEDED, "--protocol", "paper-released", "--prune", "after")
    with pytest.raises(UnknownNameError, match="task 'pso': did you mean 'pos'"):
        run(*NEEDED, "--task", "pso")
    with pytest.raises(SettingError, match="--controls = 'rnadom': should be 'random', 'highest', 'depth' or 'noise'"):
        run(*NEEDED, "--controls", "rnadom")
    with pytest.raises(SettingError, match=r"--seeds = \[1, 1\]: should name each seed once"):
        run(*NEEDED, "--seeds", "1", "1")


def test_errors_name_options_as_on_the_command_line() -> None:
    request = RunRequest
    assert with_flags("search.prune = 'after': no", request) == "--prune = 'after': no"
    assert with_flags("max_pruned 99, min_per_layer 0: no", request) == "--max-pruned 99, --min-per-layer 0: no"
    assert with_flags("sources = (): no", request) == "--source = (): no"
    assert with_flags("the model m has no method", request) == "the model m has no method"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_eighty_columns(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert "…" not in text  # nothing cut off
    assert max(map(len, text.splitlines())) <= 80


def test_a_flag_may_stand_alone_where_it_has_a_value_for_that() -> None:
    alone = {"--ray": "local"}
    assert with_values(["f", "--ray"], alone) == ["f", "--ray", "local"]
    assert with_values(["--ray", "auto", "--json"], alone) == ["--ray", "auto", "--json"]
    assert with_values(["--ray", "-x"], alone) == ["--ray", "local", "-x"]
    assert with_values(["--", "--ray"], alone) == ["--", "--ray"]
    assert with_values([], alone) == []


@pytest.mark.parametrize(
    "arguments", [["--out", "--json"], ["--json", "--seed", "--out", "x"], ["--out", "a", "--seed", "--seed"]]
)
def test_an_option_where_a_value_should_be(arguments: list[str]) -> None:
    with pytest.raises(SettingError, match=r"--(out|seed): expected a value after it, and --\w+ is an option"):
        check_values(arguments, {"--out", "--seed"}, {"--out", "--seed", "--json"})


def test_what_only_looks_like_an_option_may_be_a_value() -> None:
    flags = {"--out", "--seed", "--json"}
    check_values(["--seed", "-1", "--out", "--unknown", "--json"], {"--out", "--seed"}, flags)
    check_values(["--json", "--", "--out", "--json"], {"--out", "--seed"}, flags)
    check_values(["--out"], {"--out", "--seed"}, flags)  # said by typer
