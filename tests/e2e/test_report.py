"""report.html: every section, nothing from elsewhere, names that are only text, no error in a browser."""
import json
import re
import shutil
import subprocess

import pytest

SECTIONS = ["decision", "answers", "speed", "tradeoff", "layers", "ranges", "wide", "fused", "roofline", "gates", "findings", "provenance"]
ELSEWHERE = re.compile(r"""\bsrc\s*=|href\s*=\s*["']?(?:https?:)?//|@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon|\bimport\(""")


def data_of(page):
    block = re.search(r'<script type="application/json" id="data">(.*?)</script', page, flags=re.S)
    return json.loads(block[1])


def copy(built, folder):
    """What `narrow report` reads of a build."""
    folder.mkdir()
    for name in ("manifest.json", "calibration.json"):
        shutil.copy(built / name, folder / name)
    return folder


def change_manifest(folder, change):
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    """browse(page) -> the document after its scripts ran; fails on anything the console says."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium here")

    def run(page):
        profile = tmp_path_factory.mktemp("browser")
        done = subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
                               f"--user-data-dir={profile}", "--virtual-time-budget=5000", "--dump-dom", page.as_uri()],
                              capture_output=True, text=True, errors="replace", timeout=180)
        if "id=\"data\"" not in done.stdout:
            pytest.skip(f"chromium does not run here: {done.stderr[-300:]}")
        said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        assert not said, said
        return done.stdout

    return run


def drawn(document):
    """The document without its scripts and data: what a reader sees."""
    return re.sub(r"<script.*?</script>", "", document, flags=re.S)


def test_a_build_writes_it_and_report_writes_the_same_again(narrow, built, tmp_path):
    first = (built / "report.html").read_text()
    folder = copy(built, tmp_path / "copy")
    done = narrow("report", folder, "--json")
    assert done.json["report"] == str(folder / "report.html")
    assert (folder / "report.html").read_text() == first


def test_it_stands_alone(built):
    page = (built / "report.html").read_text()
    assert len(page) > 100_000
    assert not ELSEWHERE.search(page), ELSEWHERE.search(page)
    assert "default-src 'none'" in page


def test_it_holds_the_manifest_and_distributions_of_the_worst_layers(built):
    data = data_of((built / "report.html").read_text())
    manifest = json.loads((built / "manifest.json").read_text())
    assert data["manifest"] == manifest
    int8 = next(b for b in manifest["builds"] if b["name"] == "int8")
    stored = [layer for layer in int8["layers"] if layer["value"] in int8["recipe"]["activations"]]
    worst = min(stored, key=lambda layer: layer["isolated"]["sqnr_db"])
    counted = json.loads((built / "calibration.json").read_text())["values"][worst["value"]]["count"]
    assert sum(data["distributions"][worst["value"]]["counts"]) == counted


def test_the_manifest_names_the_kernel_of_every_step(built):
    for build in json.loads((built / "manifest.json").read_text())["builds"]:
        steps = build["plan"]["steps"]
        assert steps and all(step["kernel"] and step["op"] and step["node"] for step in steps), build["name"]


@pytest.mark.parametrize("name, content", [("manifest.json", "{"), ("manifest.json", "[]"), ("calibration.json", "{}"),
                                           ("calibration.json", None), ("manifest.json", None)])
def test_a_wrong_folder_is_an_error_that_names_the_file(narrow, built, tmp_path, name, content):
    folder = copy(built, tmp_path / "copy")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    assert name in narrow("report", folder, code=1).stderr
    assert not (folder / "report.html").exists()


def test_a_browser_shows_every_section_without_an_error(built, browse):
    shown = drawn(browse(built / "report.html"))
    for section in SECTIONS:
        assert f'<section id="{section}"' in shown, section
    assert "cannot be shown" not in shown
    manifest = json.loads((built / "manifest.json").read_text())
    for text in [manifest["model"]["hash"], manifest["machine"]["processor"], manifest["decision"]["chosen"] + "</strong> is the build"]:
        assert text in shown, text
    assert shown.count("<canvas") >= 9
    assert not re.search(r"undefined|>NaN|\[object|>null<", shown)


def section(shown, name):
    return re.search(rf'<section id="{name}".*?(?=<section id=|</main>)', shown, flags=re.S)[0]


def test_the_roofline_shows_the_steps_of_the_chosen_build(built, browse):
    manifest = json.loads((built / "manifest.json").read_text())
    chosen = [b for b in manifest["builds"] if "profile" in b]
    assert [b["name"] for b in chosen] == [manifest["decision"]["chosen"]]
    profile = chosen[0]["profile"]
    assert [s["node"] for s in profile["steps"]] == [s["node"] for s in chosen[0]["plan"]["steps"]]
    assert all(profile["roofs"][name] > 0 for name in ("fp32_gops", "bf16_gops", "int8_gops", "memory_gb_s", "cache_gb_s"))
    shown = section(drawn(browse(built / "report.html")), "roofline")
    # Chart.js gives a canvas it has drawn its size.
    assert re.search(r"<canvas[^>]*style=\"[^\"]*width", shown) and "cannot be shown" not in shown
    for step in profile["steps"]:
        assert step["node"] in shown


def test_a_roofline_of_another_form_harms_nothing(narrow, built, tmp_path, browse):
    def change(name):
        def spoil(manifest):
            profile = next(b for b in manifest["builds"] if "profile" in b)["profile"]
            if name == "nothing":
                for build in manifest["builds"]:
                    build.pop("profile", None)
            if name == "no roofs":
                profile["roofs"] = {key: 0 for key in profile["roofs"]}
            if name == "no products":
                profile["steps"] = [{**step, "macs": 0, "arithmetic": "-"} for step in profile["steps"]]
            if name == "no times":
                profile["steps"] = [{**step, "ms": 0} for step in profile["steps"]]
            if name == "words":
                profile["steps"] = [{key: "word" for key in step} for step in profile["steps"]]
                profile["roofs"] = {key: "word" for key in profile["roofs"]}
        return spoil

    for name, said in {"nothing": "no profile", "no roofs": "<canvas", "no products": "No step of this build", "no times": "No step of this build",
                       "words": "No step of this build"}.items():
        folder = copy(built, tmp_path / name.replace(" ", "_"))
        change_manifest(folder, change(name))
        narrow("report", folder)
        shown = drawn(browse(folder / "report.html"))
        assert said in section(shown, "roofline"), name
        assert not re.search(r"undefined|>NaN|Infinity|\[object|>null<", section(shown, "roofline")), name
        assert shown.count("<canvas") >= 8, name


def test_names_out_of_a_model_are_text(narrow, built, tmp_path, browse):
    folder = copy(built, tmp_path / "copy")
    evil = "</script><img src=x onerror=console.error(1)><!--<script>"

    def rename(manifest):
        manifest["model"]["file"] = evil
        for build in manifest["builds"]:
            build["findings"] = [evil]
            for layer in build["layers"]:
                layer["node"] = evil
            for step in build.get("profile", {}).get("steps", []):
                step["node"] = evil

    change_manifest(folder, rename)
    narrow("report", folder)
    page = (folder / "report.html").read_text()
    assert "<img" not in page and data_of(page)["manifest"]["model"]["file"] == evil
    shown = drawn(browse(folder / "report.html"))
    assert "<img" not in shown and "&lt;img src=x" in shown


def test_a_manifest_of_another_form_still_shows_what_it_can(narrow, built, tmp_path, browse):
    folder = copy(built, tmp_path / "copy")

    def spoil(manifest):
        manifest["builds"][1]["layers"] = {"not": "a list"}
        manifest["builds"][2]["speed"] = None
        manifest["options"]["gates"] = 7
        del manifest["builds"][3]["recipe"]

    change_manifest(folder, spoil)
    narrow("report", folder)
    shown = drawn(browse(folder / "report.html"))
    assert all(f'<section id="{section}"' in shown for section in SECTIONS)


def test_hundreds_of_layers_stay_readable(narrow, built, tmp_path, browse):
    folder = copy(built, tmp_path / "copy")

    def grow(manifest):
        for build in manifest["builds"]:
            build["layers"] = [{**layer, "node": f"{layer['node']}_{i}"} for i in range(100) for layer in build["layers"]]

    change_manifest(folder, grow)
    narrow("report", folder)
    shown = drawn(browse(folder / "report.html"))
    assert "40 worst" in shown and "cannot be shown" not in shown
