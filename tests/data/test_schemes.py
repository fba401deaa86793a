import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Entities

from polyhead.core.errors import DataFormatError, SettingError
from polyhead.data.schemes import (
    BEGIN_IN_IOB1,
    END_STARTS,
    INSIDE_STARTS,
    SCHEMES,
    SPAN_NOT_CLOSED,
    LabelError,
    from_iob2,
    scheme,
    to_iob2,
    wrong_scheme,
)

TYPES = ["PER", "reference-part", "reminder/todo", "a_b"]


@st.composite
def iob2(draw):
    """A well-formed IOB2 sentence."""
    tags = []
    for kind, length in draw(st.lists(st.tuples(st.sampled_from(["O", *TYPES]), st.integers(1, 3)), max_size=8)):
        tags += ["O"] * length if kind == "O" else [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
    return tuple(tags)


def repairs_of(tags, name, **options):
    met = []
    out = to_iob2(tags, name, on_repair=lambda position, what: met.append((position, what)), **options)
    return out, met


@given(tags=iob2(), name=st.sampled_from([name for name in SCHEMES if name not in ("io", "bare")]))
def test_round_trip_through_every_lossless_scheme(tags, name):
    assert repairs_of(from_iob2(tags, name), name) == (tags, [])


@given(tags=iob2(), name=st.sampled_from(["io", "bare"]))
def test_schemes_without_beginnings_keep_the_words_of_every_type(tags, name):
    back, met = repairs_of(from_iob2(tags, name), name)
    assert met == []
    assert [tag[2:] for tag in back] == [tag[2:] for tag in tags]
    assert repairs_of(back, "iob2") == (back, [])


@given(tags=iob2())
def test_seqeval_finds_the_same_spans_in_the_converted_tags(tags):
    expected = [(e.tag, e.start, e.end) for e in Entities([list(tags)], IOB2).entities[0]]
    for name, oracle in (("iob1", IOB1), ("bioes", IOBES), ("bilou", BILOU)):
        assert [(e.tag, e.start, e.end) for e in Entities([list(from_iob2(tags, name))], oracle).entities[0]] == expected


@given(tags=st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), max_size=10))
def test_a_mended_sentence_has_the_spans_that_seqeval_reads_by_default(tags):
    out, met = repairs_of(tags, "iob2")
    assert get_entities(list(out)) == get_entities(tags)
    assert len(out) == len(tags)
    assert [position for position, _ in met] == [i for i, (a, b) in enumerate(zip(tags, out, strict=True)) if a != b]
    assert {what for _, what in met} <= {INSIDE_STARTS}
    assert repairs_of(out, "iob2") == (out, [])


@given(tags=st.lists(st.sampled_from(["O", *(f"{p}-{t}" for p in "BIES" for t in ("PER", "LOC"))]), max_size=10))
def test_any_bioes_sentence_becomes_well_formed_iob2(tags):
    out, met = repairs_of(tags, "bioes")
    assert repairs_of(out, "iob2") == (out, [])
    assert [tag[2:] for tag in out] == [tag[2:] for tag in tags]
    assert (not met) == (from_iob2(out, "bioes") == tuple(tags))


@pytest.mark.parametrize(
    ("name", "tags", "expected", "met"),
    [
        ("iob2", ["O", "I-PER", "I-LOC"], ("O", "B-PER", "B-LOC"), [(1, INSIDE_STARTS), (2, INSIDE_STARTS)]),
        ("iob1", ["B-PER", "I-PER", "B-PER"], ("B-PER", "I-PER", "B-PER"), [(0, BEGIN_IN_IOB1)]),
        ("bioes", ["B-PER", "O"], ("B-PER", "O"), [(0, SPAN_NOT_CLOSED)]),
        ("bioes", ["E-PER", "S-PER", "S-PER"], ("B-PER", "B-PER", "B-PER"), [(0, END_STARTS)]),
        ("bioes", ["B-PER", "E-PER", "I-PER", "E-PER"], ("B-PER", "I-PER", "B-PER", "I-PER"), [(2, INSIDE_STARTS)]),
        ("bilou", ["B-PER", "L-PER", "U-LOC", "O"], ("B-PER", "I-PER", "B-LOC", "O"), []),
        (
            "bilou",
            ["B-PER", "O", "L-LOC"],
            ("B-PER", "O", "B-LOC"),
            [(0, "span without L- closed where it stops"), (2, "L- that starts a span read as B-")],
        ),
        ("bmes", ["B-PER", "M-PER", "E-PER", "S-PER"], ("B-PER", "I-PER", "I-PER", "B-PER"), []),
        ("bmes", ["M-PER", "E-PER"], ("B-PER", "I-PER"), [(0, "M- that starts a span read as B-")]),
        ("bare", ["PER", "PER", "O", "E-MAIL"], ("B-PER", "I-PER", "O", "B-E-MAIL"), []),
        ("io", ["I-PER", "I-PER", "I-LOC"], ("B-PER", "I-PER", "B-LOC"), []),
    ],
)
def test_repairs(name, tags, expected, met):
    assert repairs_of(tags, name) == (expected, met)


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("iob2", "E-PER"),
        ("iob2", "PER"),
        ("iob2", "B-"),
        ("iob2", "B"),
        ("iob2", ""),
        ("iob2", "BI-PER"),
        ("iob2", "o"),
        ("iob2", "-PER"),
        ("io", "B-PER"),
        ("bilou", "E-PER"),
        ("bilou", "PER"),
        ("bmes", "I-PER"),
        ("bare", "B-PER"),
        ("bare", "I-PER"),
        ("bare", ""),
        ("bioes", "L-PER"),
        ("iob1", "S-PER"),
        ("iob2", "O-PER"),
        ("iob2", "b-PER"),
    ],
)
def test_unknown_prefixes_are_errors(name, tag):
    with pytest.raises(LabelError, match="expected O or") as caught:
        to_iob2(["O", tag], name)
    assert caught.value.position == 1
    assert isinstance(caught.value, DataFormatError)


def test_unknown_types_are_errors_where_the_types_are_known():
    assert to_iob2(["B-X"], "iob2") == ("B-X",)
    with pytest.raises(LabelError, match="tag 'B-X' of type 'X'; expected one of the types LOC, PER"):
        to_iob2(["B-X"], "iob2", types=frozenset({"PER", "LOC"}))


def test_scheme_names():
    assert [scheme(name) for name in ("BIO", "IOB2", "iobes", "io", "IOB1", "BILOU")] == [
        "iob2",
        "iob2",
        "bioes",
        "io",
        "iob1",
        "bilou",
    ]
    assert [scheme(name) for name in SCHEMES] == list(SCHEMES)
    with pytest.raises(SettingError, match="scheme 'biluo': expected one of iob2, iob1, bioes, bilou, bmes, io, bare"):
        scheme("biluo")


def test_a_scheme_that_does_not_fit_is_asked_about():
    assert wrong_scheme("span without L- closed where it stops", 3, 3) == ", in all 3 of 3 spans: is the scheme iob2?"
    assert wrong_scheme("L- that starts a span read as B-", 3, 3) == ""
