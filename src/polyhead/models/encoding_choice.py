"""How a tagger was trained: a small JSON file beside the model, read again at prediction and pruning."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field

from polyhead.core.settings_file import Many
from polyhead.core.specs import Anchor
from polyhead.data.conllu import Words
from polyhead.models.devices import Precision
from polyhead.models.own_file import OwnFile
from polyhead.models.trained_plans import TrainedPlans


@dataclass(frozen=True, kw_only=True)
class EncodingChoice(OwnFile):
    """How a model read text in training, and which heads were masked in it.

    Attributes:
        anchor: Subword at which a word is labelled.
        max_length: Longest window in subwords, special tokens included.
        precision: Of matrix products.
        words: Which words of a treebank were labelled.
        task: Name in the tasks table; `Tagger.load` takes it unless given one.
        nested: Heads in the order in which training under nested masks masked them; any number of them can be pruned.
        plans: Plans of heads and neurons that it was trained under, any of which can be pruned; None without such training.
        shape: Layers and heads of the unpruned model, which saving fills in: the weights do not show the number of heads.
    """

    FILE: ClassVar[str] = "polyhead.json"
    REPAIR: ClassVar[str] = "save the model again, or delete the file and pass --anchor and --max-length"

    anchor: Anchor
    max_length: Annotated[int, Field(ge=1)]
    precision: Precision
    words: Words
    task: Annotated[str, Field(min_length=1)]
    nested: Many[str] = ()
    plans: TrainedPlans | None = None
    shape: tuple[int, int] | None = field(default=None, compare=False)
