"""Records in, tables, pictures and one page out; nothing here opens a model."""

from polyhead.report.page import write_report
from polyhead.report.pictures import head_picture, text_picture
from polyhead.report.tables import score_table, trial_table

__all__ = ["head_picture", "score_table", "text_picture", "trial_table", "write_report"]
