"""Dependency trees over surface tokens and syntactic words, found by the line that a sentence names."""

from pathlib import Path

import pytest

from polyhead.data.conllu import Words, read_conllu
from polyhead.data.textfile import TextFile
from polyhead.data.trees import Tree, read_trees

# "dámelo ya": a range of three words, the last two of which depend on the first; then a sentence that is no tree
SPANISH = """# sent_id = 1
# text = Quiero dámelo ya

1\tQuiero\t_\tVERB\t_\t_\t0\troot\t_\t_
2-4\tdámelo\t_\t_\t_\t_\t_\t_\t_\t_
2\tda\t_\tVERB\t_\t_\t1\txcomp:x\t_\t_
3\tme\t_\tPRON\t_\t_\t2\tiobj\t_\t_
4\tlo\t_\tPRON\t_\t_\t2\tobj\t_\t_
4.1\tnada\t_\tPRON\t_\t_\t_\t_\t_\t_
5\tya\t_\tADV\t_\t_\t4\tadvmod\t_\t_

# no tree
1\tSolo\t_\tADV\t_\t_\t_\t_\t_\t_
""".replace("\n\n1\tQ", "\n1\tQ")


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    path = tmp_path / "es.conllu"
    path.write_text(SPANISH, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("words", "tree"),
    [
        # a surface token takes the link of its first member that leads out, and holds the heads of others
        ("surface", Tree((None, 0, 1), ("root", "xcomp", "advmod"))),
        ("syntactic", Tree((None, 0, 1, 1, 3), ("root", "xcomp", "iobj", "obj", "advmod"))),
    ],
)
def test_a_tree_is_over_the_words_that_the_reader_gives(treebank: Path, words: Words, tree: Tree) -> None:
    sentence = next(iter(read_conllu(TextFile(treebank, "es"), words=words)))
    assert read_trees(treebank, words=words) == {int(sentence.source.rpartition(":")[2]): tree}
    assert len(tree.heads) == len(sentence.words)


def test_a_file_that_has_no_trees_gives_none(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("der\tO\nHund\tB-PER\n\n", encoding="utf-8")
    assert read_trees(path, words="surface") == {}
    path.write_text("1\tder\t_\tDET\t_\t_\t9\tdet\t_\t_\n", encoding="utf-8")  # a head that is no word
    assert read_trees(path, words="surface") == {}


def test_the_last_sentence_needs_no_blank_line(tmp_path: Path) -> None:
    path = tmp_path / "x.conllu"
    path.write_text("1\tHund\t_\tNOUN\t_\t_\t2\tnsubj:pass\t_\t_\n2\tgeht\t_\tVERB\t_\t_\t0\troot\t_\t_", encoding="utf-8")
    assert read_trees(path, words="syntactic") == {1: Tree((1, None), ("nsubj", "root"))}


@pytest.mark.parametrize("heads", [(2, 1, 0), (0, 0, 1), (2, 3, 1), (1, 0, 2), (3, 3, 3)])
def test_cycles_and_several_roots_are_no_trees(tmp_path: Path, heads: tuple[int, ...]) -> None:
    path = tmp_path / "a.conllu"
    rows = [f"{i}\tw\t_\tX\t_\t_\t{head}\tdep\t_\t_" for i, head in enumerate(heads, 1)]
    path.write_text("\n".join(rows) + "\n")
    assert read_trees(path, words="syntactic") == {}
