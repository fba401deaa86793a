"""The encoders that come with the package, known by name."""

from importlib.resources import files
from pathlib import Path
from typing import Final

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
