"""How the finished cells of a study are looked at: by another rule, another metric, in other languages."""

from dataclasses import dataclass

from polyhead.core.errors import SettingError
from polyhead.core.specs import allowed_loss


@dataclass(frozen=True)
class View:
    """How finished cells are looked at; none of it needs a model.

    Attributes:
        objective: Another rule on dev, `best` or `within:X`.
        k: This many heads pruned, whatever dev says; excludes `objective`.
        metric: Another metric of the counts: `accuracy`, `chunk_f1`, `macro_f1`, `span_f1`.
        without: Languages (BCP-47) and corpora left out.
        families: Whether the branches of language families have their own means.
    """

    objective: str | None = None
    k: int | None = None
    metric: str | None = None
    without: frozenset[str] = frozenset()
    families: bool = False

    def __post_init__(self) -> None:
        if self.objective is not None:
            allowed_loss(self.objective)
        if self.objective is not None and self.k is not None:
            raise SettingError(f"objective {self.objective} and k = {self.k}: give one of them; the other would choose k too")

    @property
    def chooses(self) -> bool:
        """Whether k is another than the one that the cells reported."""
        return self.objective is not None or self.k is not None
