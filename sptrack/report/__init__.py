"""One self-contained HTML page of a result folder: what was found, how, and the command that repeats it."""

from sptrack.report.contents import Contents, read_folder
from sptrack.report.page import html_page

__all__ = ["Contents", "html_page", "read_folder"]
