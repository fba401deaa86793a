"""Which sizes one fine-tuning is to serve."""

from typing import Annotated

from pydantic import Field

from polyhead.core.settings_file import settings
from polyhead.core.specs import Count, Share
from polyhead.models.trained_plans import MOST_PLANS


@settings
class ElasticSpec:
    """Which sizes one fine-tuning serves, and how it is taught.

    `taught` is 0 because a share of the loss that comes from the whole model's predictions, in the same training, gained nothing
    where it was measured (`polyhead/tiny`: −0.4 points in the trained language and +0.2 in others, two seeds) and takes a forward
    pass of the masked sentences at every step, up to four instead of three forward passes' worth. `benchmarks/elastic.py` has
    cells for it on a real encoder.

    Raises:
        SettingError: A value is not allowed; the message names all such values.

    >>> ElasticSpec(speedup=2.0).n_plans
    33
    """

    speedup: Annotated[
        float,
        Field(
            strict=True, gt=1, allow_inf_nan=False, description="With --elastic: times as fast as the model that the smallest is."
        ),
    ] = 3.0
    batch: Annotated[Count, Field(description="With --elastic: sentences of the forward pass that is timed.")] = 32
    length: Annotated[Count, Field(description="With --elastic: its subwords per sentence.")] = 128
    taught: Annotated[
        Share,
        Field(description="With --elastic: share of a masked sentence's loss that comes from the whole model's predictions."),
    ] = 0.0
    rounds: Annotated[Count, Field(le=MOST_PLANS - 1)] = 8  # of scoring
    per_round: Annotated[Count, Field(le=MOST_PLANS - 1)] = 4  # plans chosen by one set of scores
    scored: Count = 256  # dev sentences of each data set

    @property
    def n_plans(self) -> int:
        """Most plans, the whole model included; plans that are alike count once."""
        return 1 + self.rounds * self.per_round
