"""An environment in which other runtimes see an older processor.

Where CPUID can fault, cap_isa.cpp answers it. Elsewhere (AMD's processors, most virtual machines) the runtimes' packages are
copied, every CPUID instruction in their libraries becomes UD2, of the same two bytes, and cap_isa.cpp answers these.
"""
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = ("onnxruntime", "openvino")
CPUID, UD2 = b"\x0f\xa2", b"\x0f\x0b"


def environment(isa: str, work: pathlib.Path) -> dict[str, str]:
    work.mkdir(parents=True, exist_ok=True)
    library = work.resolve() / "cap_isa.so"
    subprocess.run([os.environ.get("CXX", "c++"), "-std=c++20", "-O2", "-shared", "-fPIC", "-o", library, HERE / "cap_isa.cpp"], check=True)
    capped = {**os.environ, "CAP_ISA": isa, "LD_PRELOAD": str(library)}
    if subprocess.run(["true"], env=capped, capture_output=True).returncode == 0:
        return capped
    return {**capped, "CAP_PATCHED": "1", "PYTHONPATH": str(patched_packages(work.resolve() / "capped"))}


def patched_packages(folder: pathlib.Path) -> pathlib.Path:
    """Copies of the packages whose libraries ask nobody; made once."""
    for name in PACKAGES:
        if (folder / name).exists():
            continue
        print(f"{name}: a copy without CPUID instructions", file=sys.stderr)
        part = folder / f"{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(pathlib.Path(importlib.util.find_spec(name).origin).parent, part)
        for file in part.rglob("*.so*"):
            if file.is_file() and not file.is_symlink():
                replace_cpuid(file)
        part.rename(folder / name)
    return folder


def replace_cpuid(file: pathlib.Path) -> None:
    """Only where a disassembler sees the instruction: its two bytes may stand anywhere."""
    content = bytearray(file.read_bytes())
    if CPUID not in content:
        return
    for offset in instructions(file, "cpuid"):
        if content[offset:offset + 2] != CPUID:
            raise SystemExit(f"{file}: expected CPUID at {offset:#x}, got {content[offset:offset + 2].hex()}")
        content[offset:offset + 2] = UD2
    file.write_bytes(content)


def instructions(file: pathlib.Path, name: str) -> list[int]:
    """Offsets in the file."""
    headers = subprocess.run(["objdump", "-h", "-w", file], check=True, capture_output=True, text=True).stdout
    sections = [(int(address, 16), int(size, 16), int(offset, 16))
                for size, address, offset in re.findall(r"^ *\d+ \S+ +(\w+) +(\w+) +\w+ +(\w+) .*CODE", headers, re.M)]
    offsets = []
    with subprocess.Popen(["objdump", "-d", "--no-show-raw-insn", file], stdout=subprocess.PIPE, text=True) as listing:
        for line in listing.stdout:
            if not line.rstrip().endswith(name):
                continue
            found = re.match(r" *(\w+):\t" + name + r"\s*$", line)
            if found:
                address = int(found[1], 16)
                offsets += [offset + address - start for start, size, offset in sections if start <= address < start + size]
    return offsets
