"""Dependency trees of a CoNLL-U file, over the same words as `read_conllu`: surface tokens or syntactic words."""

from dataclasses import dataclass
from pathlib import Path

from polyhead.core.values import whole_number
from polyhead.data.conllu import Words
from polyhead.data.textfile import find_file, is_blank, read_lines

_ID, _HEAD, _DEPREL = 0, 6, 7


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
    rows: list[list[str]] = []
    first = 0
    for number, line in read_lines(find_file(path) or path):
        if not is_blank(line) and line[0] != "#":
            first = first or number
            rows.append(line.split("\t"))
        elif is_blank(line) and rows:
            _add(found, first, rows, words)
            rows, first = [], 0
    if rows:
        _add(found, first, rows, words)
    return found


def _add(found: dict[int, Tree], line: int, rows: list[list[str]], words: Words) -> None:
    tree = _tree(rows, words)
    if tree is not None:
        found[line] = tree


def _tree(rows: list[list[str]], words: Words) -> Tree | None:
    if any(len(row) <= _DEPREL for row in rows):
        return None
    nodes = [row for row in rows if whole_number(row[_ID]) is not None]
    heads = [whole_number(row[_HEAD]) for row in nodes]
    if not _is_tree(heads):
        return None
    tokens = _tokens(rows, len(nodes), words)
    if tokens is None:
        return None
    token_of = {member: place for place, members in enumerate(tokens) for member in members}
    found: list[tuple[int | None, str]] = []
    for members in tokens:
        # the member that links the token to the rest of the sentence
        link = next((member for member in members if heads[member] == 0 or _head(heads, member) not in members), None)
        if link is None:
            return None
        head = _head(heads, link)
        found.append((None if head < 0 else token_of[head], nodes[link][_DEPREL].partition(":")[0]))
    return Tree(tuple(head for head, _ in found), tuple(relation for _, relation in found))


def _is_tree(heads: list[int | None]) -> bool:
    """Whether these 1-based heads, 0 for the root, lead from every node to one root."""
    if heads.count(0) != 1 or any(head is None or head > len(heads) for head in heads):
        return False
    rooted = {0}
    for node in range(1, len(heads) + 1):
        way: list[int] = []
        while node not in rooted and len(way) <= len(heads):
            way.append(node)
            node = heads[node - 1] or 0
        if node not in rooted:
            return False
        rooted.update(way)
    return True


def _head(heads: list[int | None], member: int) -> int:
    """0-based index of the head of a node, −1 for the root."""
    return (heads[member] or 0) - 1


def _tokens(rows: list[list[str]], n_nodes: int, words: Words) -> list[range] | None:
    """The nodes of each word in order, 0-based."""
    tokens: list[range] = []
    if words == "surface":
        for row in rows:
            first, dash, last = row[_ID].partition("-")
            if dash:
                begin, end = whole_number(first), whole_number(last)
                if begin is None or end is None or not 1 <= begin <= end <= n_nodes:
                    return None
                tokens.append(range(begin - 1, end))
    inside = {member for token in tokens for member in token}
    tokens += [range(node, node + 1) for node in range(n_nodes) if node not in inside]
    return sorted(tokens, key=lambda token: token.start)
