"""Records in; tables, pictures and one page out. Nothing here opens a model.

Everything shown is read from the files that a run left.
Imports `core`, `data` and `selection`.
"""

from polyhead.report.page import write_report
from polyhead.report.pictures import head_picture, text_picture
from polyhead.report.tables import score_table, trial_table

__all__ = ["head_picture", "score_table", "text_picture", "trial_table", "write_report"]
