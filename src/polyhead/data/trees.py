"""Dependency trees of a CoNLL-U file, over the same words as `read_conllu`: surface tokens or syntactic words."""

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from polyhead.core.errors import DataFormatError
from polyhead.core.values import whole_number
from polyhead.data.conllu import Block, Token, Words, parse_block
from polyhead.data.textfile import TextFile


@dataclass(frozen=True, slots=True)
class Tree:
    """The dependencies of one sentence.

    Attributes:
        heads: 0-based index of each word's head; None for the root.
        relations: Relation of each word to its head, without subtype (`nsubj:pass` is `nsubj`).
    """

    heads: tuple[int | None, ...]
    relations: tuple[str, ...]


def read_trees(path: Path, *, words: Words) -> dict[int, Tree]:
    """Trees by line of the sentence's first word row, as in `Sentence.source`.

    A surface token of several syntactic words (a range such as `1-2`) takes head and relation from its first member whose HEAD is
    outside the range. Sentences whose HEAD column is not a tree (empty, no such word, a cycle, several roots) are left out, as is
    every line of a file that is not CoNLL-U.

    Args:
        path: The file, plain or compressed.
        words: As for `read_conllu`.

    Raises:
        DataFormatError: The file cannot be decoded.
    """
    found: dict[int, Tree] = {}
    file = TextFile(path, "")
    for rows in file.blocks():
        try:
            block = parse_block(file, rows, upos="ignore")
        except DataFormatError:
            continue
        heads = [whole_number(head) for head in block.heads]
        if block.line and _is_tree(heads):
            found[block.line] = _tree(block, block.tokens(words), heads)
    return found


def _tree(block: Block, tokens: Sequence[Token], heads: Sequence[int | None]) -> Tree:
    token_of = {member: place for place, token in enumerate(tokens) for member in token.members}
    # the member that links each token to the rest of the sentence, which every token of a tree has
    links = [block.outer_member(token) or token.members.start for token in tokens]
    return Tree(
        tuple(token_of.get((heads[link] or 0) - 1) for link in links),
        tuple(block.relations[link].partition(":")[0] for link in links),
    )


def _is_tree(heads: Sequence[int | None]) -> bool:
    """Whether these 1-based heads, 0 for the root, lead from every node to one root."""
    if heads.count(0) != 1 or any(head is None or head > len(heads) for head in heads):
        return False
    try:
        TopologicalSorter({node: (head,) for node, head in enumerate(heads, start=1)}).prepare()
    except CycleError:
        return False
    return True
