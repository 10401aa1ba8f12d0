#!/usr/bin/env python3
"""Convolution networks: narrow against the fastest of the others in every kind of work, as a Markdown table.

MODELS is a folder models.py wrote; --also takes further models, run in int8. Models and batches are measured one by
one as peers.py does it, every contestant of one in the same rotation; the rows below say who is compared with whom.
"""
import argparse
import dataclasses
import json
import pathlib
import shlex
import statistics
import sys
import textwrap

import peers

SHORT = ["squeezenet", "densenet121", "inception_v1", "shufflenet", "vgg19"]


@dataclasses.dataclass(frozen=True)
class Work:
    model: str
    precision: str
    batch: int
    rivals: tuple[str, ...]  # precisions of the others' builds, of which the fastest counts
    wanted: float | str  # times faster than that; or in words
    isa: str | None = None  # all capped to this
    measure: str = "median_ms"  # or open_ms: from the file to the first result

    def title(self) -> str:
        if self.measure == "open_ms":
            return f"{self.model} {self.precision}, open to first result"
        capped = f", {self.isa} at most" if self.isa else ""
        against = f" against {' and '.join(self.rivals)}" if self.rivals not in (NARROW, (self.precision,)) else ""
        return f"{self.model} {self.precision}{capped}{against}"


NARROW = ("fp32", "bf16", "int8")  # an int8 build has to beat everything a user could run instead


def works(also: list[str]) -> list[Work]:
    rows = [Work("resnet50", "int8", 1, NARROW, 2), Work("resnet50", "int8", 32, NARROW, 2),
            Work("resnet50", "bf16", 1, ("bf16",), 1.5), Work("resnet50", "bf16", 32, ("bf16",), 1.8),
            Work("resnet50", "fp16", 1, ("fp16",), 2),
            Work("mobilenet_v2", "int8", 1, NARROW, 2.5), Work("mobilenet_v2", "int8", 32, NARROW, 2.5)]
    rows += [Work(name, "int8", 1, NARROW, 1.5) for name in SHORT]
    rows += [Work(name, "int8", 1, ("int8",), 1.5) for name in also]
    rows += [Work(name, "fp32", 1, ("fp32",), 1) for name in ["resnet50", "mobilenet_v2", *SHORT]]
    rows += [Work("resnet50", "int8", 1, ("fp32",), 12)]
    rows += [Work("resnet50", "int8", 1, NARROW, "under 10 ms", measure="open_ms")]
    rows += [Work("resnet50", "int8", 1, ("ort int8",), 1, isa) for isa in ("avx512_vnni", "avx2_vnni", "avx2")]
    return rows


def groups(rows: list[Work]) -> dict[tuple, set[str]]:
    """(model, batch, isa) -> precisions: what is measured together."""
    found = {}
    for work in rows:
        wanted = {work.precision, *(rival.split()[-1] for rival in work.rivals)}
        found.setdefault((work.model, work.batch, work.isa), set()).update(wanted)
    return found


def fits(record: dict, rival: str) -> bool:
    """A rival is a precision, or a runtime and a precision."""
    return record["runtime"] != "narrow" and [record["runtime"], record["precision"]][-len(rival.split()):] == rival.split()


def row(work: Work, result: dict) -> str:
    own = next(r for r in result["records"] if r["runtime"] == "narrow" and r["precision"] == work.precision)
    measure = work.measure
    others = [r for r in result["records"] if any(fits(r, rival) for rival in work.rivals)]
    if not others:
        return f"| {work.title()} | {work.batch} | {own[measure]:.2f} | none ran | – | {work.wanted} | {own['peak_mb']:.0f} | – |"
    best = min(others, key=lambda r: r[measure])
    return (f"| {work.title()} | {work.batch} | {own[measure]:.2f} | {best[measure]:.2f} "
            f"({best['runtime']} {best['label']}) | {best[measure] / own[measure]:.2f} | {work.wanted} | "
            f"{own['peak_mb']:.0f} | {min(r['peak_mb'] for r in others):.0f} |")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path, metavar="MODELS")
    parser.add_argument("--also", nargs="*", type=pathlib.Path, default=[], metavar="MODEL.onnx")
    parser.add_argument("--only", nargs="+", metavar="MODEL", help="these alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="per contestant and round (default 1)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="writes every round of every contestant")
    parser.add_argument("--narrow", default=str(peers.ROOT / "build" / "release" / "narrow"))
    parser.add_argument("--work", type=pathlib.Path, default=peers.ROOT / ".deps" / "bench-work")
    options = parser.parse_args()
    options.calib, options.batch = None, "1 and 32"
    options.files = {path.stem: path for path in options.also}
    options.rows = [w for w in works(list(options.files)) if not options.only or w.model in options.only]
    options.files |= {w.model: options.models / f"{w.model}.onnx" for w in options.rows if w.model not in options.files}
    if missing := [str(p) for p in [pathlib.Path(options.narrow), *options.files.values()] if not p.is_file()]:
        parser.error(f"no such file: {', '.join(missing)}")
    return options


def main():
    options = parse()
    about = peers.surroundings(options)
    results = {}
    for (model, batch, isa), precisions in groups(options.rows).items():
        options.batch, options.isa = batch, isa
        options.precisions = [p for p in peers.PRECISIONS if p in precisions]
        results[model, batch, isa] = peers.compare(options.files[model], options)
    print(peers.header(about, list(results.values())))
    print("| work | batch | narrow ms | fastest of the others, ms | ÷ narrow | wanted | peak MB | least of theirs |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    print("\n".join(row(work, results[work.model, work.batch, work.isa]) for work in options.rows))
    spread = statistics.median(max(r["rounds_ms"]) / min(r["rounds_ms"]) for result in results.values()
                               for r in result["records"])
    print(f"\nSlowest over fastest round of a contestant: {spread:.2f} in the median. {peers.unrest(list(results.values()))}")
    for result in results.values():
        for failure in result["failures"]:
            told = failure.replace(str(options.work), "WORK")
            print(f"\n{result['model']}: did not take part: {textwrap.shorten(told, 200, placeholder=' ...')}")
    if options.json:
        everything = {"command": shlex.join(sys.argv), "machine": about, "results": list(results.values())}
        options.json.write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
