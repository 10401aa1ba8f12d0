// Builds beside each other: answers, speed, size, memory, and what is traded for what.
"use strict";

const buildColumn = { title: "build", text: (b) => b.name };
const chosenRow = (report) => ({ rowClass: (b) => b.name === report.manifest.decision.chosen ? "chosen" : "" });

function drawPrecision(report) {
  const known = Object.keys(kFigures).filter((name) => report.builds.some((b) => b.figures && b.figures[name]));
  const of = (b, name) => (b.figures || {})[name] || {};
  const columns = [buildColumn];
  for (const name of known) {
    const { title, unit, digits, about } = kFigures[name];
    columns.push({ title: title + (unit ? ` (${unit})` : ""), hint: about, number: true,
      text: (b) => figureText(name, of(b, name).value), sort: (b) => of(b, name).value,
      note: (b) => rangeText(name, of(b, name).interval) });
    if (report.builds.some((b) => typeof of(b, name).change === "number"))
      columns.push({ title: `change${unit === "%" ? " (pp)" : ""}`, number: true,
        hint: `${title} minus that of fp32, on the same samples`,
        text: (b) => b.name === "fp32" ? kDash : signed(of(b, name).change, digits), sort: (b) => of(b, name).change,
        note: (b) => b.name === "fp32" || !of(b, name).change_interval ? "" : of(b, name).change_interval.map((x) => signed(x, digits)).join(" … ") });
  }
  if (report.builds.some((b) => typeof b.metric === "number"))
    columns.push({ title: "metric", hint: "what the command of --metric-cmd printed", number: true, text: (b) => short(b.metric), sort: (b) => b.metric });
  if (columns.length === 1) return [el("p", "notice", "There was no evaluation data (--eval): nothing is known of the answers.")];
  return [
    table(columns, report.builds, chosenRow(report)),
    el("dl", "terms", known.map((name) => [el("dt", "", kFigures[name].title), el("dd", "", kFigures[name].about)])),
  ];
}

function drawSpeed(report) {
  const { builds, manifest } = report;
  const chosen = manifest.decision.chosen;
  const megabytes = (n) => typeof n === "number" ? n / 1e6 : null;
  const speed = (key) => builds.map((b) => b.speed[key]);
  const unit = (values) => Math.max(...values) < 0.1 ? 1000 : 1;
  const scale = unit(speed("median_ms"));
  const small = Math.max(...builds.map((b) => b.bytes)) < 1e6 ? 1e3 : 1;
  const sizeUnit = small === 1 ? "MB" : "kB";
  const figure = (title, drawn) => el("figure", "", el("figcaption", "", title), drawn);
  const timeColumn = (title, key, hint) => ({ title, hint, number: true, text: (b) => milliseconds(b.speed[key]), sort: (b) => b.speed[key] });
  const sizeColumn = (title, get, hint) => ({ title, hint, number: true, text: (b) => bytes(get(b)), sort: get });
  return [
    el("div", "trio",
      figure("Latency, median", barsByBuild("Median latency of each build", builds, chosen,
        [{ label: "median", values: speed("median_ms").map((x) => x * scale) }], scale === 1 ? "ms" : "µs",
        (x) => scale === 1 ? milliseconds(x) + " ms" : x.toFixed(1) + " µs")),
      figure("File size", barsByBuild("File size of each build", builds, chosen,
        [{ label: "file", values: builds.map((b) => megabytes(b.bytes) * small) }], sizeUnit, (x) => `${x.toFixed(small === 1 ? 2 : 0)} ${sizeUnit}`)),
      figure("Memory while running", barsByBuild("Memory of each build: weights and activations", builds, chosen, [
        { label: "weights", tone: "accent", values: builds.map((b) => megabytes(b.speed.weight_bytes) * small) },
        { label: "activations", tone: "neutral", values: builds.map((b) => megabytes(b.speed.arena_bytes) * small) },
      ], sizeUnit, (x) => `${x.toFixed(small === 1 ? 2 : 0)} ${sizeUnit}`))),
    table([buildColumn,
      timeColumn("p50 (ms)", "median_ms", "half of the inferences were faster"),
      timeColumn("p90 (ms)", "p90_ms", "nine of ten were faster"),
      timeColumn("p99 (ms)", "p99_ms", "99 of 100 were faster"),
      { title: "spread", hint: "(p90 − p10) / median: how unquiet the machine was", number: true, text: (b) => percent(b.speed.spread), sort: (b) => b.speed.spread },
      { title: "samples/s", number: true, text: (b) => count(Math.round(b.speed.throughput)), sort: (b) => b.speed.throughput },
      timeColumn("load (ms)", "load_ms", "opening the file until it is ready"),
      timeColumn("first (ms)", "first_ms", "the first inference, which plans and packs"),
      sizeColumn(".narrow", (b) => b.bytes), sizeColumn(".onnx", (b) => b.onnx_bytes),
      sizeColumn("weights", (b) => b.speed.weight_bytes, "packed for the kernels, in memory"),
      sizeColumn("activations", (b) => b.speed.arena_bytes, "the arena all intermediate results share"),
    ], builds, chosenRow(report)),
  ];
}

/** Builds that no other build beats in both: fastest first. */
function paretoFront(points, less) {
  const front = [];
  for (const point of [...points].sort((a, b) => a.x - b.x || (less ? a.y - b.y : b.y - a.y)))
    if (front.length === 0 || (less ? point.y < front.at(-1).y : point.y > front.at(-1).y)) front.push(point);
  return front;
}

function drawTradeoff(report) {
  // The figure of the task when there are labels; else the distance from fp32, which fp32 itself has not.
  const paired = headline(report.builds);
  const name = paired && ["top1", "perplexity", "mae"].includes(paired) ? paired : "sqnr";
  const builds = report.builds.filter((b) => b.figures && b.figures[name] && (name !== "sqnr" || b.name !== "fp32"));
  if (builds.length === 0) return [el("p", "notice", "There was no evaluation data (--eval).")];
  const { title, unit, less } = kFigures[name];
  const points = builds.map((b) => ({ x: b.speed.median_ms, y: b.figures[name].value, name: b.name,
    low: (b.figures[name].interval || [])[0], high: (b.figures[name].interval || [])[1] }));
  const front = paretoFront(points, less);
  const onFront = new Set(front.map((point) => point.name));
  const drawn = chart(`${title} against latency`, 340, () => ({
    data: { datasets: [
      { type: "scatter", data: points, pointRadius: 6, pointHoverRadius: 8,
        backgroundColor: points.map((p) => colour(onFront.has(p.name) ? "accent" : "neutral")), borderWidth: 0 },
      { type: "line", data: front, borderColor: colour("accent"), borderWidth: 1.5, stepped: "before", pointRadius: 0, pointHitRadius: 0 },
    ] },
    options: {
      layout: { padding: { top: 16, right: 16 } },
      scales: { x: axis("median latency (ms)", { type: "linear", beginAtZero: true }),
        y: axis(title + (unit ? ` (${unit})` : ""), { grace: "12%", reverse: Boolean(less),
          suggestedMin: Math.min(...points.map((p) => p.low ?? p.y)), suggestedMax: Math.max(...points.map((p) => p.high ?? p.y)) }) },
      plugins: { tooltip: { callbacks: {
        title: (items) => items[0].raw.name,
        label: (item) => [`${title}: ${figureText(name, item.raw.y)} ${unit}`.trim(), `95% interval: ${rangeText(name, [item.raw.low, item.raw.high])}`,
          `median: ${milliseconds(item.raw.x)} ms`] } } },
    },
    plugins: [whiskers, names],
  }));
  const beaten = points.filter((p) => !onFront.has(p.name)).map((p) => p.name);
  return [drawn, el("p", "", `On the front: ${front.map((p) => p.name).join(", ")}.`,
    beaten.length ? ` Beaten in both by another build: ${beaten.join(", ")}.` : "",
    name === "sqnr" ? " fp32 is what the others are compared with and has no point here." : "")];
}
