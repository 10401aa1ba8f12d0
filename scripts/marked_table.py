"""Tables between markers of a page: what the scripts that measure them write."""
import re
import sys


def write(page, script, table):
    """Replaces what stands between the markers of `script` ("methods_table.py") in `page`; ends the program where they are missing."""
    begin, end = f"<!-- table: scripts/{script} -->", "<!-- end of table -->"
    text = page.read_text()
    if begin not in text or end not in text:
        sys.exit(f"{page}: expected the markers {begin} and {end}")
    page.write_text(re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{table}\n{end}", text, flags=re.S))
