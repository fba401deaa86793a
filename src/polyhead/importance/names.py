"""Names and signs of the importance methods, so that settings can be checked without torch."""

import sys
from collections.abc import Mapping
from typing import Final, Literal

from polyhead.core.errors import SettingError, UnknownNameError, allowed_names
from polyhead.core.heads import Normalisation

Sign = Literal["absolute", "signed", "negative", "none"]

# A test holds this equal to the rows of `METHODS`, whose modules need torch.
SIGNS: Final[Mapping[str, Sign]] = {
    "gradient": "absolute",
    "gradient-token": "absolute",
    "gradient-batch": "absolute",
    "fisher": "absolute",
    "weight-gradient": "absolute",
    "weight-gradient-released": "absolute",
    "integrated": "signed",
    "ablation": "signed",
    "ablation-mean": "signed",
    "shapley": "signed",
    "relevance": "absolute",
    "relevance-attn": "absolute",
    "l0": "absolute",
    "confidence": "absolute",
    "entropy": "negative",
    "magnitude": "absolute",
    "random": "none",
}


def sign_of(name: str) -> Sign:
    """The sign of a method's scores; also of one that this program has added to `METHODS`.

    Raises:
        UnknownNameError: No method has this name.
    """
    table = sys.modules.get("polyhead.importance.table")  # nobody can add a row before importing it
    signs: Mapping[str, Sign] = SIGNS if table is None else {name: row.sign for name, row in table.METHODS.items()}
    if name not in signs:
        raise UnknownNameError(f"method {name!r}: {allowed_names(name, signs)}")
    return signs[name]


def check_normalisation(name: str, normalisation: Normalisation) -> None:
    """Refuse an unknown method, and a normalisation that does not suit its scores, before anything is scored.

    Raises:
        UnknownNameError: No method has this name.
        SettingError: `paper` with a method whose scores may be negative.
    """
    if sign_of(name) in ("signed", "negative") and normalisation == "paper":
        raise SettingError(
            f"method {name}: its scores may be negative, and dividing a layer by its sum (normalisation paper) can reverse "
            "their order; use normalisation none"
        )
