#!/usr/bin/env python3
"""The measured tables of docs/methods/: what each recipe makes of the models of the data pack.

    scripts/methods_table.py            prints the tables
    scripts/methods_table.py --write    and replaces those between the markers of docs/methods/*.md
    scripts/methods_table.py [--write] hqq    those of some pages only
Runs `narrow build --recipe RECIPE` on examples/digits and on the models of the data pack that are there. NARROW_BINARY and
NARROW_DATA name another binary and another data pack than build/release/narrow and ../shared/data.
"""
import json
import resource
import subprocess
import sys
import tempfile

import calibration_table as shared
import marked_table

PAGES = shared.ROOT / "docs" / "methods"
# page: the recipe it is about, and what it is compared with
RECIPES = {"gptq": ("nearest", "gptq"), "hqq": ("nearest", "hqq"), "equalization": ("gptq", "equalize, gptq"),
           "bias-correction": ("nearest", "gptq", "gptq(variance=1)")}
PRECISIONS = ("int8", "int4", "int3")
ONLY = {"equalization": ("int8",), "bias-correction": ("int8",)}  # what else a method leaves as it is


def measure(model, calib, evaluation, recipe, precisions):
    """precision -> (headline figure, its value, SQNR dB), and the processor seconds of the build."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([shared.BINARY, "build", model, "--calib", calib, "--eval", evaluation, "--out", f"{folder}/out",
                               "--precisions", ",".join(("fp32",) + precisions), "--recipe", recipe, "--tactics", "pinned",
                               "--seconds", "0.01", "--json", "--quiet"], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3, 4):
        sys.exit(f"{model} {recipe}: {done.stderr.strip()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = {}
    for build in json.loads(done.stdout.splitlines()[-1])["builds"]:
        figures = build["figures"]
        name = "agreement" if "top1" in figures else shared.headline(figures)
        rows[build["name"]] = (name, figures[name]["value"], figures["sqnr"]["value"])
    return rows, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def shown(name, value):
    return f"{value:.2f} %" if name == "agreement" else shared.shown(name, value)


def table(results, recipes, precisions):
    lines = ["| model | figure | precision | " + " | ".join(recipes) + " | " + " | ".join(f"{r}, SQNR dB" for r in recipes) +
             " | processor s |", "| --- | --- | --- |" + " ---: |" * (2 * len(recipes) + 1)]
    for model, by_recipe in results.items():
        for precision in precisions:
            rows = [by_recipe[recipe][0][precision] for recipe in recipes]
            seconds = ", ".join(f"{by_recipe[recipe][1]:.0f}" for recipe in recipes) if precision == precisions[0] else ""
            lines.append(f"| {model if precision == precisions[0] else ''} | {rows[0][0]} | {precision} | " +
                         " | ".join(shown(r[0], r[1]) for r in rows) + " | " + " | ".join(f"{r[2]:.1f}" for r in rows) +
                         f" | {seconds} |")
    return "\n".join(lines)


def main():
    results, pages = {}, [argument for argument in sys.argv[1:] if argument != "--write"]
    wanted = {name: recipes for name, recipes in RECIPES.items() if not pages or name in pages}
    for model, calib, evaluation in shared.MODELS:
        if not model.exists():
            print(f"{model.stem}: not there, left out", file=sys.stderr)
            continue
        for recipe, precisions in sorted({(recipe, ONLY.get(name, PRECISIONS)) for name, recipes in wanted.items()
                                          for recipe in recipes}):
            found = measure(model, calib, evaluation, recipe, precisions)
            results.setdefault(precisions, {}).setdefault(model.stem, {})[recipe] = found
            print(f"{model.stem} {recipe}: {found}", file=sys.stderr)
    for name, recipes in wanted.items():
        precisions = ONLY.get(name, PRECISIONS)
        text = table(results.get(precisions, {}), recipes, precisions)
        print(text)
        if "--write" in sys.argv[1:]:
            marked_table.write(PAGES / f"{name}.md", "methods_table.py", text)


if __name__ == "__main__":
    main()
