#!/usr/bin/env python3
"""The synopsis and options of docs/commands/*.md, out of `narrow COMMAND --help`.

    scripts/command_tables.py            writes them between the markers of every page
    scripts/command_tables.py --check    exits 1 when a page says something else than the program
NARROW_BINARY names another binary than build/release/narrow.
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = os.environ.get("NARROW_BINARY", ROOT / "build" / "release" / "narrow")
PAGES = ROOT / "docs" / "commands"
BEGIN, END = "<!-- options: scripts/command_tables.py -->", "<!-- end of options -->"


def help_of(*command):
    return subprocess.run([BINARY, *command, "--help"], capture_output=True, text=True, check=True).stdout


def commands():
    listed = help_of().split("Subcommands:\n")[1].split("\n\n")[0]
    return re.findall(r"^  (\w[\w-]*) ", listed, flags=re.M)


def entries(section):
    """(what is typed, what help says) of a section's lines; long names have their text on the next line."""
    found = []
    for line in section.splitlines():
        if match := re.match(r"^  (\S.*?)(?: {2,}(.*))?$", line):
            found.append([match[1], match[2] or ""])
        elif line.strip() and found:
            found[-1][1] = f"{found[-1][1]} {line.strip()}".strip()
    return found


def row(typed, text):
    """`--batch INT:INT in [1 - 65536]` is an option, its type and the values it takes."""
    name, _, kind = typed.partition(" ")
    values = []
    if limits := re.search(r"in \[(\S+) - (\S+)\]", kind):
        values.append(f"{limits[1]} to {limits[2]}")
    if "REQUIRED" in kind:
        values.append("required")
    if kind.rstrip().endswith("..."):
        values.append("one or more")
    word = re.match(r"[A-Z]+", kind)
    flags = ", ".join(f"`{flag}`" for flag in name.split(",")) if not word else f"`{name} {word[0]}`"
    return f"| {flags} | {', '.join(values)} | {text.replace('|', chr(92) + '|')} |"


def block(command):
    text = help_of(command)
    usage = re.search(r"^Usage: (.*)$", text, flags=re.M)[1]
    lines = [BEGIN, "```", usage, "```", "", "| | values | |", "| --- | --- | --- |"]
    for title in ("Positionals", "Options"):
        if section := re.search(rf"^{title}:\n(.*?)(?=\n\n|\Z)", text, flags=re.M | re.S):
            lines += [row(*entry) for entry in entries(section[1])]
    return "\n".join(lines + [END])


def main():
    stale = []
    for command in commands():
        page = PAGES / f"{command}.md"
        if not page.exists():
            stale.append(f"{page.relative_to(ROOT)}: not there")
            continue
        old = page.read_text()
        new = re.sub(f"{BEGIN}.*?{END}", lambda _, c=command: block(c), old, flags=re.S)
        if BEGIN not in old or END not in old:
            stale.append(f"{page.relative_to(ROOT)}: no markers {BEGIN} and {END}")
        elif new != old and sys.argv[1:] == ["--check"]:
            stale.append(f"{page.relative_to(ROOT)}: not what narrow {command} --help says")
        else:
            page.write_text(new)
    print("\n".join([*stale, f"commands: {len(commands())}, {len(stale)} pages to mend"]))
    sys.exit(1 if stale else 0)


if __name__ == "__main__":
    main()
