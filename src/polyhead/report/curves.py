"""A pruning curve read back from the file that `polyhead curve` left."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # typing's own cannot be checked before Python 3.12

from polyhead.core.errors import StoreError
from polyhead.core.store import read_json
from polyhead.report.form_check import form_fault
from polyhead.report.record_form import Number

CURVE = "curve.json"
MaybeBounds = Annotated[list[Number | None], Field(min_length=2, max_length=2)]


class CurveDataForm(TypedDict):
    """The text that the orders were judged on."""

    name: str
    split: str
    sentences: int


class OrderForm(TypedDict):
    """One order of heads and the score after each that went."""

    group: str
    name: str
    direction: Literal["lowest", "highest", "random", "oracle"]
    scores: Annotated[list[Number], Field(min_length=1)]


class DifferenceForm(TypedDict):
    """An area minus another one."""

    difference: Number | None
    interval: MaybeBounds


class AreaForm(TypedDict):
    """The area under the curve of a group of orders."""

    group: str
    area: Number | None
    interval: MaybeBounds
    minus_random: DifferenceForm | None
    minus_highest: DifferenceForm | None
    regret: DifferenceForm | None


class CurveForm(TypedDict):
    """A whole curve file."""

    model: str
    main_metric: str
    data: CurveDataForm
    orders: Annotated[list[OrderForm], Field(min_length=1)]
    areas: NotRequired[list[AreaForm] | None]


def read_curve(path: Path) -> Mapping[str, Any]:
    """The document in a curve file.

    Args:
        path: `curve.json`, or the folder that `polyhead curve --out` left it in.

    Raises:
        StoreError: The file cannot be read or is not one.
    """
    path = path / CURVE if path.is_dir() else path
    document: Any = read_json(path)
    if fault := form_fault(document, CurveForm) or _fault(document):
        raise StoreError(f"{path}: not a curve ({fault}); give the {CURVE} that polyhead curve --out leaves")
    return dict(document)


def _fault(document: Mapping[str, Any]) -> str | None:
    lengths = {len(order["scores"]) for order in document["orders"]}
    return None if len(lengths) == 1 else f"orders have {', '.join(map(str, sorted(lengths)))} scores; expected equally many"
