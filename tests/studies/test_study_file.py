"""Reading a study file: every fault at once, each with its line, value and nearest valid name."""

from pathlib import Path

import pytest
from studies.study_case import cells, study_text

from polyhead.core.errors import FileFaultsError, PolyheadError, SettingError
from polyhead.studies.study_file import expand_study, parse_study, read_study, study_grids


def faults(text: str) -> list[str]:
    with pytest.raises(FileFaultsError) as caught:
        parse_study(text, "f")
    return str(caught.value).split("\n")


def test_a_study_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("\ufeff" + study_text(data='"~/corpora"'), encoding="utf-8")
    study = read_study(path)
    assert study.name == "small"
    assert study.data == str(Path("~/corpora").expanduser())
    assert [cell.data for cell in expand_study(study)] == [study.data] * 2


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("name", '"a b"', "f:1: name = 'a b': should be 1 to 64 ASCII letters"),
        ("tasks", '["pso"]', "f:2: tasks: task 'pso': did you mean 'pos'?"),
        ("tasks", '"pos"', "f:2: tasks = 'pos': should be a list, for example [\"pos\"]"),
        ("tasks", "[]", "f:2: tasks: should have at least one item"),
        (
            "tasks",
            '["ner"]',
            "f:4: sources: 'phrases/en': is labelled for the task pos, not ner; for ner its language has phrases-ner/en",
        ),
        ("models", '["polyhead/tinny"]', "f:3: models: model 'polyhead/tinny': did you mean 'polyhead/tiny'?"),
        ("models", "[3]", "f:3: models = 3: should be text"),
        ("sources", '["phrases/en", "phrases/enn"]', "f:4: sources: corpus 'phrases/enn': no such name; did you mean phrases/en"),
        ("sources", '["en=a:b:c:d"]', "f:4: sources: data 'en=a:b:c:d': expected LANGUAGE="),
        ("sources", '["phrases/en", "phrases/en"]', "f:4: sources = ['phrases/en', 'phrases/en']: should name each once"),
        ("targets", '["phrases/en"]', "f:4: sources: 'phrases/en': every target has its language"),
        ("targets", '["ud/de_hdt"]', "f:5: targets: 'ud/de_hdt': has no test split, only train; its released dev file serves"),
        ("seeds", "[1, 2, 1]", "f:6: seeds = [1, 2, 1]: should name each once, but 1 is there 2 times"),
        ("seeds", "[1, 2.5]", "f:6: seeds = 2.5: should be a whole number"),
        ("seeds", "[true]", "f:6: seeds = True: should be a whole number"),
        ("seeds", "42", "f:6: seeds = 42: should be a list, for example [42]"),
        ("settings", '["crosslingual"]', "f:7: settings = 'crosslingual': should be 'cross-lingual', "),
        ("settings", '["multi-source"]', "f:5: targets: 'phrases/de': multi-source needs two or more sources"),
        ("methods", '["gradeint"]', "f:7: methods: method 'gradeint': did you mean 'gradient'?"),
        (
            "controls",
            '["rnadom"]',
            "f:7: controls = 'rnadom': should be 'random', 'highest', 'depth' or 'noise'; did you mean 'random'?",
        ),
        ("protocol", '"soud"', "f:7: protocol = 'soud': should be 'sound', 'paper' or 'paper-released'; did you mean 'sound'?"),
        (
            "normalisation",
            '"paper"\nmethods = ["shapley"]',
            "f:7: normalisation = 'paper': method shapley: its scores may be",
        ),
        (
            "sources",
            '["phrases/en", "phrases/es"]\nsettings = ["multi-source"]\ncombine = ["summed"]\nmethods = ["shapley"]',
            "f:6: combine = 'summed': adds up scores scaled as in the paper, but method shapley: its scores may be",
        ),
        ("target_tenths", "[1]", "f:7: target_tenths: only low-resource reads it"),
        ("target_tenths", '[0, 10]\nsettings = ["low-resource"]', "f:7: target_tenths = 0: should be at least 1"),
        ("combine", '["summed"]', "f:7: combine: only multi-source reads it"),
        ("noise_runs", "5", "f:7: noise_runs: only the control noise reads it"),
        ("train_limit", "0", "f:7: train_limit = 0: should be at least 1"),
        ("train_limit", '"9"', "f:7: train_limit = '9': should be a whole number"),
        ("scheme", '"iob9"', "f:7: scheme 'iob9': expected one of"),
        ("select_on", '"agreement"', "f:7: select_on = 'agreement': compares masks of one model"),
        ("search", '"nested"', "f:7: search = 'nested': should be a table of options"),
        (
            "search.how",
            '"nestd"',
            "f:7: search.how = 'nestd': should be 'sequential', 'sweep', 'screened' or 'nested'; did you mean",
        ),
        ("search.repair", '"refit"', "f:7: search.repair = 'refit': should be none unless prune is 'after'"),
        ("search.max_prune", "3", "f:7: search.max_prune: unknown option; did you mean 'max_pruned'?"),
        ("train.seed", "1", "f:7: train.seed: a study has a list of seeds"),
        ("train.epochs", '"3"', "f:7: train.epochs = '3': should be a whole number"),
        ("sorces", '["phrases/en"]', "f:7: sorces: unknown option; did you mean 'sources'?"),
        ("grids", "[]", "f:7: grids: unknown option; did you mean 'grid'?"),
        ("grid", "{}", "f:7: grid: should be one or more tables, each under its own [[grid]]"),
        ("grid", "[]", "f:7: grid: should be one or more tables"),
    ],
)
def test_one_fault_is_one_line(key: str, value: str, said: str) -> None:
    (line,) = [line for line in faults(study_text(**{key: value})) if line.startswith(said)]
    assert len(faults(study_text(**{key: value}))) <= 3
    assert line.isprintable()


@pytest.mark.parametrize("key", ["name", "tasks", "models", "sources"])
def test_what_a_study_needs(key: str) -> None:
    assert any(f"{key}: required" in line for line in faults(study_text(without=key)))


def test_targets_are_needed_where_a_setting_reads_them() -> None:
    assert faults(study_text(without="targets")) == ["f:1: settings: 'cross-lingual': needs targets"]
    parse_study(study_text(without="targets", settings='["monolingual"]'), "f")


def test_all_faults_of_all_grids_are_named_in_the_order_of_the_lines() -> None:
    tables = """
[search]
how = "nested"
max_pruned = "3"

[[grid]]
name = "one"
seeds = [
  1,  # a comment
  -2,
]

[[grid]]
name = "one"
protocol = "paper"
search = { max_pruned = 3 }
controls = ["noise"]
targets = ["phrases/nl", "phrases/dee"]
data = "here"
"""
    said = faults(study_text(tables=tables, tasks='["pso"]'))
    starts = [
        "f:2: tasks: task 'pso'",
        "f:10: search.max_pruned = '3': should be a whole number",
        "f:16: seeds = -2: should be at least 0",
        "f:20: name = 'one': another grid has this name",
        "f:24: targets: corpus 'phrases/dee'",
        "f:25: data: one folder serves all grids",
    ]
    assert [line[: len(start)] for line, start in zip(said, starts, strict=True)] == starts


def test_a_grid_that_a_fault_is_taken_out_of_is_checked_further() -> None:
    said = faults(study_text(seeds="[-1]", search='{ how = "nested" }', protocol='"paper"', select_on='"target-dev"'))
    assert [line.split(": ")[1].split(" = ")[0] for line in said] == ["seeds", "search.how"]


def test_a_fault_between_a_default_and_a_grid_is_on_a_line_that_takes_part() -> None:
    (line,) = faults(study_text(tables='[search]\nhow = "nested"\n[[grid]]\n[[grid]]\nprotocol = "paper"\n'))
    assert line.startswith("f:8: search.how = 'nested': protocol 'paper' compares separate fine-tunings")


def test_targets_that_are_trained_or_selected_on_need_those_splits() -> None:
    keys = {"tasks": '["slots"]', "sources": '["xsid/en"]', "targets": '["xsid/de"]'}
    (line,) = faults(study_text(**keys, settings='["multi-lingual"]'))
    assert line.startswith("f:5: targets: 'xsid/de': has no train split, only dev, test; xSID has training data for English only")
    (line,) = faults(study_text(tasks='["ner"]', sources='["wikineural/en"]', targets='["wikineural/de"]', select_on='"pooled"'))
    assert line.startswith("f:5: targets: 'wikineural/de': has no dev split")
    assert line.endswith("select_on 'pooled' reads it")
    (line,) = faults(study_text(targets='["de=TEST"]', select_on='"target-dev"'))
    assert line.startswith("f:5: targets: 'de=TEST': no dev file")


def test_mixed_words_are_on_the_line_of_a_reference() -> None:
    (line,) = faults(study_text(sources='["ud/en_ewt@words"]', targets='["ud/de_gsd"]'))
    assert line.startswith("f:4: data 'ud/en_ewt@words' and 'ud/de_gsd': one run uses one kind of words")


def test_noise_says_nothing_about_masks_of_one_model() -> None:
    (line,) = faults(study_text(controls='["noise"]', search='{ how = "nested" }'))
    assert line.startswith("f:7: controls: noise: search nested compares masks of one model")


def test_a_default_that_every_grid_overrides_is_checked() -> None:
    assert faults(study_text(seeds="[-1]", tables="[[grid]]\nseeds = [1]\n")) == ["f:6: seeds = -1: should be at least 0"]


def test_a_key_that_one_grid_reads_may_stand_above_all() -> None:
    tables = '[[grid]]\n[[grid]]\nsettings = ["low-resource"]\n'
    assert {cell.target_tenths for cell in cells(target_tenths="[2]", tables=tables)} == {None, 2}
    assert faults(study_text(tables="[[grid]]\ntarget_tenths = [2]\n")) == [
        "f:8: target_tenths: only low-resource reads it; add that to settings, or leave it out"
    ]


def test_grids_take_defaults_and_tables_key_by_key() -> None:
    tables = """
[search]
how = "nested"
max_pruned = 8
[train]
epochs = 1
[[grid]]
name = "one"
search.max_pruned = 3
[[grid]]
seeds = [7]
train = { epochs = 2 }
"""
    study = parse_study(study_text(tables=tables), "f")
    (one, first), (two, second) = study_grids(study)
    assert (one, two) == ("one", "grid 2")
    assert {(cell.search.how, cell.search.max_pruned, cell.train.epochs) for cell in first} == {("nested", 3, 1)}
    assert [(cell.seed, cell.search.max_pruned, cell.train.epochs) for cell in second] == [(7, 8, 2)]


def test_cells_that_grids_share_are_there_once() -> None:
    shared = cells(tables='[[grid]]\n[[grid]]\nseeds = [2, 3]\nname = "more"\n')
    assert [cell.seed for cell in shared] == [1, 2, 3]


def test_a_protocol_fixes_what_is_not_given() -> None:
    (cell,) = cells(protocol='"paper"', seeds="[42]", search="{ max_pruned = 2 }")
    assert (cell.method, cell.normalisation, cell.search.how, cell.search.include_zero) == (
        "weight-gradient",
        "paper",
        "sweep",
        False,
    )
    assert (cell.train.order, cell.train.learning_rate) == ("file", 5e-5)
    (cell,) = cells(protocol='"paper"', seeds="[42]", methods='["fisher"]', train="{ order = 'shuffled' }")
    assert (cell.method, cell.train.order) == ("fisher", "shuffled")


@pytest.mark.parametrize("text", ["name = ", "name = 1\nname = 2", "\x00", "[[", "a" * 100])
def test_no_text_ends_in_another_error(text: str) -> None:
    with pytest.raises(PolyheadError):
        parse_study(text, "f")


def test_what_is_not_toml_has_its_line() -> None:
    with pytest.raises(SettingError, match=r"^f:3: not TOML \(Unclosed array\)"):
        parse_study('name = "x"\ntasks = ["pos"\nmodels = []', "f")
