#!/usr/bin/env python3
"""Every relative link in the tracked *.md files names a file that is there, and every #anchor a heading of it."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def prose(text):
    """Without code blocks and code spans, where brackets are code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))


def anchors(path):
    """The ids that headings get: lower case, punctuation dropped, spaces as dashes."""
    headings = re.findall(r"^#+ +(.+?) *$", re.sub(r"^```.*?^```", "", path.read_text(), flags=re.S | re.M), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page):
    for target in LINK.findall(prose(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists():
            yield target, "no such file"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield target, "no such heading"


def main():
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    failures = [f"{name}: {target}: {why}" for name in listed for target, why in broken(ROOT / name)]
    print("\n".join(failures + [f"links: {len(listed)} pages, {len(failures)} broken"]))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
