"""Lines of keys and items, for every way in which a generated TOML text may be laid out."""

import tomllib
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from polyhead.core.toml_lines import Path, toml_lines

KEYS = st.sampled_from(["a", "b-c", '"x.y"', "'[z]'", "seeds"])
VALUES = st.sampled_from(
    ["1", '"text # no comment"', "'[[grid]]'", "true", "1.5", "{ p = 1, q = [2, 3] }", '"""two\n = [lines"""', "[]"]
)
FILLERS = st.sampled_from(["", "# a comment", "  # [[grid]]", "   ", "# x = ["])


@dataclass
class Written:
    """A text that grows line by line, and the line of every path in it."""

    lines: list[str] = field(default_factory=list)
    paths: dict[Path, int] = field(default_factory=dict)

    def put(self, text: str, *paths: Path) -> None:
        for path in paths:
            self.paths.setdefault(path, len(self.lines) + 1)
        self.lines += text.split("\n")


def _bare(key: str) -> str:
    return key.strip("\"'")


@st.composite
def texts(draw: st.DrawFn) -> Written:
    written = Written()

    def statements(table: Path) -> None:
        for key in draw(st.lists(KEYS, unique=True, max_size=3)):
            for filler in draw(st.lists(FILLERS, max_size=2)):
                written.put(filler)
            path = (*table, _bare(key))
            shape = draw(st.sampled_from(["value", "list", "dotted"]))
            if shape == "value":
                written.put(f"{draw(st.sampled_from(['', '  ']))}{key} = {draw(VALUES)}", path)
            elif shape == "dotted":
                written.put(f"{key}.inner = {draw(VALUES)}", path, (*path, "inner"))
            else:
                written.put(f"{key} = [", path)
                for place in range(draw(st.integers(1, 3))):
                    for filler in draw(st.lists(FILLERS, max_size=1)):
                        written.put(filler)
                    written.put(f'  "item {place} ]", # ]', (*path, place))
                written.put("] # end")

    statements(())
    for place in range(draw(st.integers(0, 3))):
        written.put("[[ grid ]]", ("grid",), ("grid", place))
        statements(("grid", place))
        if draw(st.booleans()):
            written.put(" [grid.train] # of it", ("grid", place, "train"))
            statements(("grid", place, "train"))
    if draw(st.booleans()):
        written.put("[search.deep]", ("search",), ("search", "deep"))
        statements(("search", "deep"))
    return written


@given(texts(), st.sampled_from(["\n", "\r\n"]))
def test_every_path_is_on_its_line(written: Written, end: str) -> None:
    text = end.join(line for whole in written.lines for line in whole.split("\n"))
    tomllib.loads(text)  # the strategy writes TOML
    found = toml_lines(text)
    assert {path: found.get(path) for path in written.paths} == written.paths


def test_values_inside_a_statement_are_on_its_line() -> None:
    found = toml_lines("# c\nx = { a = 1, b = [2, 3] }\ny = [[1], [2,\n  3]]\n")
    assert found[("x", "b", 1)] == 2
    assert found[("y",)] == 3
    assert found[("y", 1)] == 4, "an item that spans several lines is on its last"


def test_no_line_of_what_is_not_there() -> None:
    assert toml_lines("") == toml_lines("# only\n\n") == {}
