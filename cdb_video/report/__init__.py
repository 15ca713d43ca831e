"""Pages and tables made from the files that a run leaves in its OUTPUT_DIR."""

from cdb_video.report.compare import comparison_rows, comparison_table
from cdb_video.report.page import write_report

__all__ = ["comparison_rows", "comparison_table", "write_report"]
