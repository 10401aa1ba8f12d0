#!/usr/bin/env python3
"""The measured tables of docs/methods/, docs/precisions/w4a8.md and weight-only.md: what each recipe makes of the models of the data pack.

    scripts/methods_table.py            prints the tables
    scripts/methods_table.py --write    and replaces those between the markers of the pages
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

DOCS = shared.ROOT / "docs"
# page: the recipe it is about, and what it is compared with
LEARNED = "(iterations=300)"
RECIPES = {"gptq": ("nearest", "gptq"), "hqq": ("nearest", "hqq"), "equalization": ("gptq", "equalize, gptq"),
           "sequential-mse": ("nearest", "seqmse", "gptq", "seqmse, gptq"),
           "learned-rounding": ("nearest", f"nearest, adaround{LEARNED}", f"nearest, brecq{LEARNED}", "gptq"),
           "w4a8": ("nearest", "equalize, gptq", "equalize, gptq --group-size 32", "equalize, gptq --group-size 0"),
           "weight-only": ("nearest", "equalize, gptq"),
           "bias-correction": ("nearest", "gptq", "gptq(variance=1)"),
           "rotation": ("nearest", "rotate, nearest", "equalize, gptq", "rotate, equalize, gptq")}
PRECISIONS = ("int8", "int4", "int3")
ONLY = {"equalization": ("int8",), "sequential-mse": ("int8", "w4a8"), "learned-rounding": ("w4a8",),
        "w4a8": ("w4a8",), "weight-only": ("int8-weights", "int4", "int3", "int2", "ternary", "binary"), "bias-correction": ("int8",), "rotation": ("int8", "int8-dynamic", "w4a8", "int4", "int3")}  # what else a method leaves as it is, or would take hours
FOLDERS = {"w4a8": "precisions", "weight-only": "precisions"}
DROPS = {"w4a8", "weight-only"}  # pages that show what classifiers lose in top-1
SMALL = ("digits", "resnet20_cifar10", "stories260K")  # pages whose methods take long
MODELS = {"learned-rounding": SMALL[:2], "sequential-mse": SMALL, "rotation": SMALL[2:]}
# pruning.md: name of a pattern and its recipe
PRUNING = {"none": "equalize, gptq", "30%": "equalize, prune(sparsity=0.3), gptq", "50%": "equalize, prune, gptq",
           "50%, blocks of 16": "equalize, prune(block=16), gptq", "2 of 4": "equalize, prune(m=4), gptq",
           "50%, the smallest alone": "equalize, prune(loss=0,compensate=0), nearest"}
PRUNED_MODELS = ("resnet20_cifar10", "stories260K")
PRUNED_PRECISIONS = ("int8", "int4", "int3")  # int3 with all weights only: what else makes files smaller


def measure(model, calib, evaluation, recipe, precisions):
    """precision -> (headline figure, its value, SQNR dB, bytes of the .narrow file, top-1), and the processor seconds of the build.
    Options of the build may follow the recipe."""
    recipe, *options = recipe.split(" --")
    options = [word for option in options for word in f"--{option}".split()]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([shared.BINARY, "build", model, "--calib", calib, "--eval", evaluation, "--out", f"{folder}/out",
                               "--precisions", ",".join(("fp32",) + precisions), "--recipe", recipe, "--tactics", "pinned",
                               "--seconds", "0.01", "--json", "--quiet", *options], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3, 4):
        sys.exit(f"{model} {recipe}: {done.stderr.strip()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = {}
    for build in json.loads(done.stdout.splitlines()[-1])["builds"]:
        figures = build["figures"]
        name = "agreement" if "top1" in figures else shared.headline(figures)
        rows[build["name"]] = (name, figures[name]["value"], figures["sqnr"]["value"], build["bytes"], figures.get("top1", {}).get("value"))
    return rows, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def shown(name, value):
    return f"{value:.2f} %" if name == "agreement" else shared.shown(name, value)


def with_drop(row, reference):
    """A classifier's agreement and the percentage points of top-1 it loses."""
    text = shown(row[0], row[1])
    return text if row[4] is None else f"{text}, {row[4] - reference[4]:+.2f} pp"


def table(results, recipes, precisions, drops=False):
    lines = ["| model | figure | precision | " + " | ".join(recipes) + " | " + " | ".join(f"{r}, SQNR dB" for r in recipes) +
             " | processor s |", "| --- | --- | --- |" + " ---: |" * (2 * len(recipes) + 1)]
    for model, by_recipe in results.items():
        for precision in precisions:
            rows = [by_recipe[recipe][0][precision] for recipe in recipes]
            seconds = ", ".join(f"{by_recipe[recipe][1]:.0f}" for recipe in recipes) if precision == precisions[0] else ""
            lines.append(f"| {model if precision == precisions[0] else ''} | {rows[0][0]} | {precision} | " +
                         " | ".join(with_drop(r, by_recipe[recipes[0]][0]["fp32"]) if drops else shown(r[0], r[1]) for r in rows) + " | " + " | ".join(f"{r[2]:.1f}" for r in rows) +
                         f" | {seconds} |")
    return "\n".join(lines)


def pruning_table(results):
    lines = ["| model | figure | precision | zeros | figure | SQNR dB | file kB |", "| --- | --- | --- | --- | ---: | ---: | ---: |"]
    for model, by_recipe in results.items():
        for precision in PRUNED_PRECISIONS:
            for zeros, recipe in PRUNING.items():
                if recipe not in by_recipe or precision not in by_recipe[recipe][0]:
                    continue
                name, value, sqnr, size, _ = by_recipe[recipe][0][precision]
                first = zeros == "none"
                lines.append(f"| {model if first and precision == PRUNED_PRECISIONS[0] else ''} | {name if first else ''} | "
                             f"{precision if first else ''} | {zeros} | {shown(name, value)} | {sqnr:.1f} | {size / 1000:.0f} |")
    return "\n".join(lines)


def write_pruning():
    results = {}
    for model, calib, evaluation in shared.MODELS:
        if model.stem not in PRUNED_MODELS or not model.exists():
            continue
        for recipe in PRUNING.values():
            precisions = PRUNED_PRECISIONS if "prune" not in recipe else PRUNED_PRECISIONS[:2]
            results.setdefault(model.stem, {})[recipe] = measure(model, calib, evaluation, recipe, precisions)
            print(f"{model.stem} {recipe}: {results[model.stem][recipe]}", file=sys.stderr, flush=True)
    text = pruning_table(results)
    print(text)
    if "--write" in sys.argv[1:]:
        marked_table.write(DOCS / "methods" / "pruning.md", "methods_table.py", text)


def main():
    results, pages = {}, [argument for argument in sys.argv[1:] if argument != "--write"]
    if not pages or "pruning" in pages:
        write_pruning()
    wanted = {name: recipes for name, recipes in RECIPES.items() if not pages or name in pages}
    for model, calib, evaluation in shared.MODELS:
        if not model.exists():
            print(f"{model.stem}: not there, left out", file=sys.stderr)
            continue
        for recipe, precisions in sorted({(recipe, ONLY.get(name, PRECISIONS)) for name, recipes in wanted.items()
                                          for recipe in recipes if model.stem in MODELS.get(name, [model.stem])}):
            found = measure(model, calib, evaluation, recipe, precisions)
            results.setdefault(precisions, {}).setdefault(model.stem, {})[recipe] = found
            print(f"{model.stem} {recipe}: {found}", file=sys.stderr)
    for name, recipes in wanted.items():
        precisions = ONLY.get(name, PRECISIONS)
        measured = {model: by_recipe for model, by_recipe in results.get(precisions, {}).items()
                    if model in MODELS.get(name, [model])}
        text = table(measured, recipes, precisions, name in DROPS)
        print(text)
        if "--write" in sys.argv[1:]:
            marked_table.write(DOCS / FOLDERS.get(name, "methods") / f"{name}.md", "methods_table.py", text)


if __name__ == "__main__":
    main()
