#!/usr/bin/env python3
"""Reads the includes under src/ and holds them to the layers: a folder includes only from rows below its own.

usage: check_layers.py [--svg FILE]      exit 1 when an include breaks the rule; --svg draws what was found
"""
import argparse
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS = [  # bottom to top
    ["base", "numerics"],
    ["tensor", "parallel"],
    ["ir", "kernels"],
    ["onnx", "passes", "artifact", "data", "kernel_cases"],
    ["runtime"],
    ["verify", "calib", "bench"],
    ["quant"],
    ["search", "report", "tensorrt"],
    ["pipeline"],
    ["cli", "api"],
]
ROW_OF = {folder: row for row, folders in enumerate(ROWS) for folder in folders}
ALLOWED_WITHIN_ROW = {("numerics", "base")}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def includes():
    """(folder, file, line number, included folder) of every include of another folder of src/."""
    for path in sorted((ROOT / "src").rglob("*")):
        if path.suffix not in (".h", ".cpp", ".inc"):
            continue
        folder = path.relative_to(ROOT / "src").parts[0]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match and "/" in match[1] and (ROOT / "src" / match[1]).exists():
                target = match[1].split("/")[0]
                if target != folder:
                    yield folder, path.relative_to(ROOT), number, target


def allowed(folder, target):
    return ROW_OF[target] < ROW_OF[folder] or (folder, target) in ALLOWED_WITHIN_ROW


def direct(edges):
    """Edges that no longer way implies: what is worth drawing."""
    below = collections.defaultdict(set)
    for folder, target in edges:
        below[folder].add(target)

    def reaches(start, goal, first_step):
        return any(step == goal or reaches(step, goal, False) for step in below[start] if not (first_step and step == goal))

    return [edge for edge in sorted(edges) if not reaches(*edge, True)]


WIDTH, ROW_HEIGHT, BOX_WIDTH, BOX_HEIGHT, LEFT = 760, 66, 104, 32, 40


def box_centers():
    centers = {}
    for row, folders in enumerate(ROWS):
        step = (WIDTH - LEFT) / len(folders)
        for i, folder in enumerate(folders):
            centers[folder] = (LEFT + step * (i + 0.5), ROW_HEIGHT * (len(ROWS) - row - 0.5))
    return centers


def draw(edges):
    centers = box_centers()
    height = ROW_HEIGHT * len(ROWS)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="14">',
             '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
             '<path d="M0,0 L8,4 L0,8 z" fill="#78909c"/></marker></defs>',
             f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>']
    for row in range(len(ROWS)):
        y = ROW_HEIGHT * (len(ROWS) - row - 0.5)
        parts.append(f'<text x="14" y="{y + 5:.0f}" fill="#90a4ae">{row}</text>')
        if row % 2:
            parts.append(f'<rect x="{LEFT}" y="{y - ROW_HEIGHT / 2:.0f}" width="{WIDTH - LEFT}" height="{ROW_HEIGHT}" fill="#f5f7f8"/>')
    for folder, target in edges:
        (x1, y1), (x2, y2) = centers[folder], centers[target]
        sideways = y1 == y2
        start = (x1 + (BOX_WIDTH / 2 if x2 > x1 else -BOX_WIDTH / 2), y1) if sideways else (x1, y1 + BOX_HEIGHT / 2)
        end = (x2 + (BOX_WIDTH / 2 if x2 < x1 else -BOX_WIDTH / 2), y2) if sideways else (x2, y2 - BOX_HEIGHT / 2)
        parts.append(f'<line x1="{start[0]:.0f}" y1="{start[1]:.0f}" x2="{end[0]:.0f}" y2="{end[1]:.0f}" '
                     'stroke="#78909c" marker-end="url(#tip)"/>')
    for folder, (x, y) in centers.items():
        parts.append(f'<rect x="{x - BOX_WIDTH / 2:.0f}" y="{y - BOX_HEIGHT / 2:.0f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" '
                     'rx="4" fill="#e3f2fd" stroke="#546e7a"/>')
        parts.append(f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle">{folder}</text>')
    return "\n".join(parts + ["</svg>\n"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--svg", type=pathlib.Path)
    svg = parser.parse_args().svg
    edges, failures = set(), []
    unknown = [p.name for p in (ROOT / "src").iterdir() if p.is_dir() and p.name not in ROW_OF]
    failures += [f"src/{name}: not in the table of rows (scripts/check_layers.py)" for name in unknown]
    for folder, file, line, target in includes():
        if folder in unknown or target in unknown:
            continue
        edges.add((folder, target))
        if not allowed(folder, target):
            failures.append(f"{file}:{line}: {folder} (row {ROW_OF[folder]}) includes {target} (row {ROW_OF[target]})")
    if svg:
        svg.write_text(draw(direct({edge for edge in edges if allowed(*edge)})))
    print("\n".join(failures + [f"layers: {len(edges)} edges between {len(ROW_OF)} folders, {len(failures)} violations"]))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
