"""Whole numbers as text: read only if they are of a sane length, because Python itself refuses more than 4,300 digits."""

_MOST_DIGITS = 9


def whole_number(text: str) -> int | None:
    """The number that one to nine ASCII digits write; None for any other text.

    >>> whole_number("12"), whole_number("-1"), whole_number("9" * 5000)
    (12, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None
