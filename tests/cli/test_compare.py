"""`polyhead compare`: groups, tables, what it leaves, and how it refuses."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli.cases import refused
from numpy.typing import NDArray
from plain_markdown import assert_plain

from polyhead.core.heads import HeadScores, normalise
from polyhead.selection.agreement import agreement
from polyhead.selection.combining import combine, leave_one_out
from polyhead.selection.comparison import Run, grouped
from polyhead.selection.score_files import read_scores, write_scores
from polyhead.selection.sharing import head_sharing

Array = NDArray[np.float64]
LANGUAGES = ("en", "de", "sw")


def written(
    path: Path,
    method: str = "gradient",
    languages: tuple[str, ...] = (),
    values: Array | None = None,
    settings: dict[str, object] | None = None,
) -> Path:
    values = np.random.default_rng(len(str(path))).random((3, 4)) if values is None else values
    write_scores(path, HeadScores(values, method, total=10 * values, n=10, languages=languages, settings=settings or {}))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds in each of three languages."""
    folder, rng = tmp_path_factory.mktemp("scores"), np.random.default_rng(0)
    base = rng.random((3, 4))
    own = {language: base + 0.6 * rng.random((3, 4)) for language in LANGUAGES}
    return [
        written(folder / f"{language}-{seed}.tsv", languages=(language,), values=own[language] + 0.3 * rng.random((3, 4)))
        for language in LANGUAGES
        for seed in (1, 2)
    ]


def test_every_figure_is_that_of_the_library(cli: Callable, files: list[Path]) -> None:
    document = cli("compare", *files, "--json").json
    assert [group["name"] for group in document["groups"]] == list(LANGUAGES)
    assert document["groups"][0]["files"] == [str(files[0]), str(files[1])]
    assert (document["k"], document["n_heads"], document["schema"]) == (3, 12, 1)
    assert [(pair["one"], pair["other"], pair["n_pairs"]) for pair in document["pairs"]] == [
        ("en", "de", 4),
        ("en", "sw", 4),
        ("de", "sw", 4),
    ]
    stable = agreement(read_scores(files[0]), read_scores(files[1]), k=3)
    found = document["stability"][0]
    assert found["group"] == "en"
    for name in ("spearman", "kendall", "weighted_tau", "lowest", "highest"):
        measure = getattr(stable, name)
        assert found[name] == {"value": measure.value, "min": measure.min, "max": measure.max}


def test_languages_are_predicted_and_shared_heads_named(cli: Callable, files: list[Path]) -> None:
    document = cli("compare", *files, "--k", 4, "--json").json
    runs = {language: [read_scores(path) for path in files if path.name.startswith(language)] for language in LANGUAGES}
    sharing = head_sharing({language: np.stack([item.values for item in items]) for language, items in runs.items()}, k=4)
    (shown,) = document["sharing"]
    for name, end in (("lowest", sharing.lowest), ("highest", sharing.highest)):
        assert shown[name]["shared"] == [str(head) for head in end.shared]
        assert shown[name]["specific"] == {language: [str(head) for head in heads] for language, heads in end.specific.items()}
        assert shown[name]["within"] == dict(end.within)
        assert shown[name]["frequency"]["de"] == end.frequency["de"].tolist()
    predicted = leave_one_out({language: combine(items, "merged")[0] for language, items in runs.items()}, k=4)
    assert [(row["language"], row["spearman"], row["lowest"]) for row in document["leave_one_out"]] == [
        (language, item.spearman.value, item.lowest.value) for language, item in predicted.items()
    ]
    assert {row["how"] for row in document["leave_one_out"]} == {"mean-rank"}


def test_two_languages_predict_nothing_and_one_shares_nothing(cli: Callable, files: list[Path]) -> None:
    two = cli("compare", *files[:4], "--json").json
    assert (two["leave_one_out"], len(two["sharing"])) == ([], 1)
    one = cli("compare", *files[:2], "--json").json
    assert (one["pairs"], one["sharing"], len(one["stability"])) == ([], [], 1)


def test_files_of_no_one_language_are_no_language(cli: Callable, files: list[Path], tmp_path: Path) -> None:
    both = written(tmp_path / "both.tsv", languages=("en", "de"))
    unsaid = written(tmp_path / "unsaid.tsv")
    document = cli("compare", *files[:4], both, unsaid, "--json").json
    assert [group["name"] for group in document["groups"]] == ["en", "de", "en+de", "unsaid"]
    assert (document["leave_one_out"], document["sharing"][0]["runs"]) == ([], {"en": 2, "de": 2})


def test_combined_scores_are_no_further_run_of_their_method(cli: Callable, files: list[Path], tmp_path: Path) -> None:
    ranks = written(tmp_path / "ranks.tsv", languages=("en",), settings={"combined": "mean-rank"})
    runs = [row["runs"] for row in cli("compare", *files[:4], ranks, "--json").json["sharing"]]
    assert runs == [{"en": 2, "de": 2}]


def test_what_is_printed(cli: Callable, files: list[Path]) -> None:
    result = cli("compare", *files)
    assert (result.code, result.err) == (0, "")
    for part in (
        "6 files in 3 groups, 12 heads in common; k = 3",
        "| en | gradient | en | en-1.tsv, en-2.tsv |",
        "## Between groups",
        "| one | other | Spearman's ρ | Kendall's τ-b | weighted τ | overlap of lowest 3 | overlap of highest 3 |",
        "## Within groups, between runs",
        "two random orders share 0.25",
        "They have no interval, because heads are not a sample",
        "## Each language predicted from the others",
        "## Heads shared by languages, gradient",
        "| among the 3 least important in | heads | layer.head |",
        "| sw only |",
    ):
        assert part in result.prose, part
    single = cli("compare", *files[::2]).prose
    assert "Within groups" not in single
    assert "Only one run of en, de, sw: heads specific to one language may be chance." in single


def test_normalised_scores_are_compared_and_combined(cli: Callable, files: list[Path], tmp_path: Path) -> None:
    document = cli(
        "compare", *files[::2], "--normalise", "paper", "--combine", "summed", "--out-scores", tmp_path / "c.json", "--json"
    ).json
    values = [normalise(read_scores(path).values, "paper") for path in files[::2]]
    found = agreement(values[0], values[1], k=3)
    plain = agreement(read_scores(files[0]), read_scores(files[2]), k=3)
    assert document["pairs"][0]["spearman"]["value"] == found.spearman.value != plain.spearman.value
    np.testing.assert_allclose(read_scores(tmp_path / "c.json").values, np.sum(values, axis=0))


@pytest.mark.parametrize("how", ["merged", "summed", "mean-rank", "worst-case", "regret"])
def test_combined_scores_are_written_and_foretell_in_the_same_way(
    cli: Callable, files: list[Path], tmp_path: Path, how: str
) -> None:
    out = tmp_path / "c.tsv"
    document = cli("compare", *files, "--combine", how, "--out-scores", out, "--json").json
    expected = combine([read_scores(path) for path in files], how)[0]  # type: ignore[arg-type]
    np.testing.assert_array_equal(read_scores(out).values, expected.values)
    assert document["combined"] == {"how": how, "file": str(out)}
    assert {row["how"] for row in document["leave_one_out"]} == {how}


def test_languages_of_unequal_weight_are_noted(cli: Callable, files: list[Path], tmp_path: Path) -> None:
    result = cli("compare", *files[:3], "--combine", "mean-rank", "--out-scores", tmp_path / "c.tsv")
    assert "numbers of files differ by language: en 2, de 1" in result.err


def test_a_folder_is_left(cli: Callable, files: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    out = tmp_path / "new" / "folder"
    document = cli("compare", *files, "--out", out, "--json").json
    assert sorted(path.name for path in out.iterdir()) == ["compare.json", "compare.md", "correlations.svg", "heads.svg"]
    assert json.loads((out / "compare.json").read_text()) == document
    page = (out / "compare.md").read_text()
    assert page.startswith("# Agreement of head scores\n\n6 files in 3 groups")
    assert page.rstrip().endswith("![correlations](correlations.svg)\n\n![heads](heads.svg)")
    assert cli("compare", *files, "--out", out).code == 0, "may be run again"


def test_the_diagonal_is_the_stability_and_empty_without_it(cli: Callable, files: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    document = cli("compare", *files[:3], "--out", tmp_path, "--json").json
    svg = (tmp_path / "correlations.svg").read_text()
    within, between = (document[key][0]["spearman"]["value"] for key in ("stability", "pairs"))
    for value, count in ((within, 1), (between, 2)):
        assert svg.count(f">{value:.2f}</text>".replace("-", "−")) == count
    assert svg.count("one: de") // svg.count("one: de; rho") <= 2
    assert "one: de; rho" in svg


def test_groups_are_named_by_what_differs(tmp_path: Path) -> None:
    def names(by=None, *facts: tuple[str, tuple[str, ...]]) -> dict[str, int]:
        runs = [
            Run(tmp_path / f"f{i}.tsv", HeadScores(np.eye(2), method, languages=languages))
            for i, (method, languages) in enumerate(facts)
        ]
        return {name: len(members) for name, members in grouped(runs, by).items()}

    en, de = ("gradient", ("en",)), ("gradient", ("de",))
    ablation, both = ("ablation", ("en",)), ("gradient", ("en", "de"))
    assert names(None, en, de, en, both) == {"en": 2, "de": 1, "en+de": 1}
    assert names(None, en, ablation) == {"gradient": 1, "ablation": 1}
    assert names(None, en, de, ablation) == {"gradient en": 1, "gradient de": 1, "ablation en": 1}
    assert names(None, en, en) == {"gradient en": 2}
    assert names("method", en, de, ablation) == {"gradient": 2, "ablation": 1}
    assert names("language", en, de, ablation) == {"en": 2, "de": 1}
    assert names("file", en, en) == {"f0": 1, "f1": 1}
    unsaid, foreign = ("gradient", ("und",)), ("unknown", ())
    assert names(None, unsaid, unsaid, foreign) == {"f0": 1, "f1": 1, "f2": 1}
    assert names("method", unsaid, unsaid, foreign) == {"gradient": 2, "f2": 1}
    same = [Run(Path(folder) / "s.tsv", HeadScores(np.eye(2), "unknown")) for folder in ("a", "b")]
    assert list(grouped(same, None)) == [str(Path("a/s.tsv")), str(Path("b/s.tsv"))]


def test_files_that_do_not_say_what_they_are_stand_alone(cli: Callable, tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"other{i}.txt").write_text("".join(f"0 {j} {(j * (i + 2)) % 5}\n" for j in range(4)))
    paths = sorted(tmp_path.glob("*.txt"))
    result = cli("compare", *paths)
    assert "3 files in 3 groups" in result.out
    assert "3 of 3 files do not record their method or language" in result.err
    assert cli("compare", *paths, "--by", "file").err == ""


def test_heads_gone_anywhere_do_not_count(cli: Callable, files: list[Path], tmp_path: Path) -> None:
    values = np.arange(12.0).reshape(3, 4)
    values[0, :] = np.nan
    less = written(tmp_path / "less.tsv", languages=("fr",), values=values)
    document = cli("compare", *files, less, "--json").json
    assert (document["n_heads"], document["k"]) == (8, 2)
    assert document["pairs"][-1]["n_heads"] == 8
    assert document["pairs"][0]["n_heads"] == 12
    refused(cli("compare", *files, less, "--k", 9), "--k 9: ", "8 heads in common")


def test_names_of_files_stay_text(cli: Callable, tmp_path: Path) -> None:
    files = []
    for number, name in enumerate(("x|y`z`<script>alert(1)", "[l](http:\\e.vil)\x1b[31m**b**")):
        path = tmp_path / f"{name}.tsv"
        values = HeadScores([[0.1 * number, 0.2], [0.3, 0.4]], "gradient", languages=("en", "de")[number : number + 1])  # type: ignore[arg-type]
        write_scores(path, values)
        files.append(path)
    done = cli("compare", *files, "--out", tmp_path / "out", "--combine", "summed", "--out-scores", tmp_path / "`c`|.tsv")
    assert done.code == 0
    assert_plain(done.out)
    assert_plain(re.sub(r"!\[\w+\]\(\w+\.svg\)", "", (tmp_path / "out" / "compare.md").read_text(encoding="utf-8")))
    missing = cli("compare", files[0], tmp_path / "\x1b]0;title\x07\x1b[31m.tsv")
    assert missing.code == 2
    assert r"\x1b]0;title\x07\x1b[31m.tsv" in missing.err
    assert "\x1b" not in missing.err


def test_a_constant_matrix_is_shown_as_no_order(cli: Callable, files: list[Path], tmp_path: Path) -> None:
    flat = written(tmp_path / "flat.tsv", languages=("fr",), values=np.ones((3, 4)))
    result = cli("compare", files[0], flat)
    assert "| en | fr | – | – | – | – | – |" in result.out
    assert cli("compare", files[0], flat, "--json").json["pairs"][0]["spearman"]["value"] is None


def test_it_refuses_in_one_line(cli: Callable, files: list[Path], tmp_path: Path) -> None:
    refused(cli("compare"), "FILES")
    refused(cli("compare", files[0]), "only one file", "two or more")
    refused(cli("compare", files[0], files[1], files[0].parent / "." / files[0].name), str(files[0]), "more than once")
    other = written(tmp_path / "other.tsv", values=np.ones((2, 4)))
    refused(cli("compare", files[0], other), "other.tsv: 2 layers x 4 heads", "3 x 4")
    refused(cli("compare", files[0], tmp_path / "none.tsv"), "none.tsv: cannot be read")
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    refused(cli("compare", files[0], bad), "bad.json:1: not JSON")
    refused(cli("compare", *files, "--combine", "regret"), "--combine and --out-scores go together")
    refused(cli("compare", *files, "--out-scores", tmp_path / "c.tsv"), "go together")
    refused(cli("compare", *files, "--combine", "regret", "--out-scores", tmp_path / "c.pt"), ".tsv or .json")
    refused(cli("compare", *files, "--combine", "each", "--out-scores", tmp_path / "c.tsv"), "each")
    refused(cli("compare", *files, "--by", "seed"), "seed", "method")
    refused(cli("compare", *files, "--out", bad), "is a file, not a folder")
    methods = [files[0], written(tmp_path / "ablation.tsv", "ablation", ("en",))]
    refused(
        cli("compare", *methods, "--combine", "mean-rank", "--out-scores", tmp_path / "c.tsv"), "ablation", "cannot be combined"
    )
    refused(cli("compare", *files, "--out", bad / "folder"), "bad.json")


def test_no_torch_is_needed(files: list[Path]) -> None:
    code = (
        "import sys; from polyhead.cli.main import main; code = main(sys.argv[1:]); "
        "found = {'torch', 'transformers'} & set(sys.modules); sys.exit(code or len(found))"
    )
    done = subprocess.run([sys.executable, "-c", code, "compare", *files, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
