"""Which names can be ids on the Hub."""

import re

from polyhead.models.own_encoders import model_folder

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?", re.ASCII)


def is_hub_id(name: str) -> bool:
    """Whether a name has the form of an id on the Hub; whether the Hub has it is not asked.

    >>> is_hub_id("org/model"), is_hub_id("bert-base-cased"), is_hub_id("models/a/b"), is_hub_id("./model"), is_hub_id("")
    (True, True, False, False, False)
    """
    return _HUB_ID.fullmatch(name) is not None


def is_local(name: str) -> bool:
    """Whether a model's name means a folder and not the Hub: such a folder or own encoder is here, or the name cannot be an id.

    >>> is_local("runs/my/model"), is_local("polyhead/tiny"), is_local("org/model-that-is-not-here")
    (True, True, False)
    """
    return not is_hub_id(name) or model_folder(name).is_dir()
