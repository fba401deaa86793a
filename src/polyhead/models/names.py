"""Which names can be ids on the Hub."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Final

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


OWN_ENCODERS: Final[tuple[str, ...]] = ("polyhead/tiny",)
"""Names of the encoders under `polyhead/models/encoders/`; `recipes/` says how each was made."""


def model_folder(name: str | Path) -> Path:
    """The folder that a model's name means: the one of that name here, else that of an own encoder, else a path without folder.

    >>> model_folder("polyhead/tiny").name, model_folder("runs/none/model").as_posix()
    ('tiny', 'runs/none/model')
    """
    path = Path(name).expanduser()
    if str(name) in OWN_ENCODERS and not path.is_dir():
        return Path(str(files("polyhead"))) / "models" / "encoders" / str(name).partition("/")[2]
    return path


def is_own_encoder(name: str) -> bool:
    """Whether a name means an encoder that comes with polyhead, and not a folder of that name.

    >>> is_own_encoder("polyhead/tiny"), is_own_encoder("org/model")
    (True, False)
    """
    return name in OWN_ENCODERS and not Path(name).is_dir()
