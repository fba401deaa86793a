"""Model names: folders, hub ids and bundled encoders."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Final

from polyhead.core.settings_file import path_in

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?", re.ASCII)


def is_hub_id(name: str) -> bool:
    """Whether a name has the form of a hub id; the Hub is not asked.

    >>> is_hub_id("org/model"), is_hub_id("bert-base-cased"), is_hub_id("models/a/b"), is_hub_id("./model"), is_hub_id("")
    (True, True, False, False, False)
    """
    return _HUB_ID.fullmatch(name) is not None


def is_local(name: str) -> bool:
    """Whether a model's name means a folder: such a folder or bundled encoder exists, or the name cannot be a hub id.

    >>> is_local("runs/my/model"), is_local("polyhead/tiny"), is_local("org/model-that-is-not-here")
    (True, True, False)
    """
    return not is_hub_id(name) or model_folder(name).is_dir()


def model_in(name: str, folder: str | Path | None) -> str:
    """The model's name as loaders take it where relative paths start from `folder`: a folder's path there, else the name itself.

    >>> [model_in(name, "/studies") for name in ("org/model-that-is-not-here", "./encoder", "polyhead/tiny")]
    ['org/model-that-is-not-here', '/studies/encoder', 'polyhead/tiny']
    """
    if folder is None:
        return name
    place = path_in(folder, name)
    # a name that means a folder of the current one alone must not be found there
    return str(place) if place.is_dir() or (name not in OWN_ENCODERS and is_local(name)) else name


OWN_ENCODERS: Final[tuple[str, ...]] = ("polyhead/tiny",)
"""Names of the encoders under `polyhead/models/encoders/`; `recipes/` says how each was made."""


def model_folder(name: str | Path) -> Path:
    """The existing folder of that name, else a bundled encoder's folder, else a path that does not exist.

    >>> model_folder("polyhead/tiny").name, model_folder("runs/none/model").as_posix()
    ('tiny', 'runs/none/model')
    """
    path = Path(name).expanduser()
    if str(name) in OWN_ENCODERS and not path.is_dir():
        return Path(str(files("polyhead"))) / "models" / "encoders" / str(name).partition("/")[2]
    return path
