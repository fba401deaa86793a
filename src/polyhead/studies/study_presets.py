"""The study files that come with the package, to start from."""

from importlib.resources import files
from typing import Final

from polyhead.core.errors import UnknownNameError, allowed_names

STUDIES: Final = {
    "small": "the bundled encoder on generated phrases, in three minutes: to learn on",
    "pos": "part of speech: two encoders, three sources, nine languages",
    "ner": "named entities, on corpora that may be used",
    "slots": "slot filling from English, on MASSIVE and xSID",
    "controls": "random and highest-ranked heads under the same search",
    "multi-source": "four sources, one ranking made of theirs in three ways",
    "low-resource": "10 % to 90 % of the target's training data",
    "rank-correlation": "one ranking for each of nine languages, nothing pruned",
    "closeness": "gains, and rankings to relate them to",
    "paper": "all of these in one study",
}
"""What each holds, by name, in the order to read them."""


def study_preset(name: str) -> str:
    """The text of the study file of that name.

    Raises:
        UnknownNameError: There is none.

    >>> study_preset("small").splitlines()[0]
    '# A study to learn on: the bundled encoder on generated phrases, about three minutes on two cores. Nothing is downloaded.'
    """
    if name not in STUDIES:
        raise UnknownNameError(f"preset {name!r}: {allowed_names(name, STUDIES)}")
    return (files("polyhead") / "studies" / "presets" / f"{name}.toml").read_text(encoding="utf-8")
