"""The task of a model: the one given, else the one that its checkpoint records."""

from polyhead.core.errors import SettingError, UnknownNameError
from polyhead.data.tasks import TASKS, Task
from polyhead.data.tasks import task as find_task
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.loading import load_config


def task_of(
    name: str, given: str | Task | None, choice: EncodingChoice | None, *, revision: str | None = None, option: str = "task="
) -> Task:
    """The task given, else the one that a checkpoint records; whether its classifier fits the task, `check_classifier` says.

    Args:
        name: Folder or hub id.
        given: A row of the tasks table or its name.
        choice: What the checkpoint records, if anything.
        revision: Branch, tag or commit on the Hub.
        option: What errors tell the user to give.

    Raises:
        CheckpointError: There is no such checkpoint.
        SettingError: The task is neither given nor recorded, or another program's is recorded.
        UnknownNameError: No task has the name given.
    """
    if given is not None:
        return given if isinstance(given, Task) else find_task(given)
    if choice is None:
        load_config(name, revision=revision)  # a model that is not there records nothing either
        raise SettingError(f"{name}: does not record its task; give {option}, one of {', '.join(TASKS)}")
    try:
        return find_task(choice.task)
    except UnknownNameError as error:
        raise SettingError(f"{name}: {EncodingChoice.FILE} records {error}; give {option}") from None
