// How near each step came to what the machine can do: operations a byte against operations a second.
"use strict";

/** What products are computed in; `roof` names its ceiling in the manifest, `products` how many stand for one. */
const kArithmetic = {
  fp32: { roof: "fp32_gops", products: 1, tone: "neutral", shape: "rect" },
  bf16: { roof: "bf16_gops", products: 1, tone: "warn", shape: "triangle" },
  bf16x3: { roof: "bf16_gops", products: 3, tone: "warn", shape: "triangle" },
  int8: { roof: "int8_gops", products: 1, tone: "accent", shape: "circle" },
};

/** 4387 -> "4.39 T": operations or bytes a second out of 10^9 of them. */
const rate = (giga) => giga >= 1e3 ? (giga / 1e3).toPrecision(3) + " T" : short(giga) + " G";

function drawRoofline(report) {
  const builds = report.builds.filter((b) => b.profile && Array.isArray(b.profile.steps) && b.profile.roofs);
  if (builds.length === 0)
    return [el("p", "notice", "This build has no profile: none was chosen, or another version wrote the manifest. narrow profile measures one.")];
  const place = el("div", "part");
  const show = (name) => {
    place.replaceChildren(...present(rooflineOf(builds.find((b) => b.name === name))));
    drawNewCharts();
  };
  return [builds.length > 1 ? choice("Build", builds.map((b) => [b.name, b.name]), firstShown(report, builds), show)
    : (show(builds[0].name), null), place];
}

/** Steps with what follows from their counts: rates, and the share of the roof above them. */
function stepsOf({ steps, steps_ms: all, roofs }) {
  return steps.map((step) => {
    const { roof, products } = kArithmetic[step.arithmetic] || {};
    const cached = step.bytes <= roofs.cache_bytes;
    const compute = roof && step.macs > 0 ? 2 * step.macs * products / roofs[roof] / 1e6 : 0;  // ms at the ceiling
    const move = step.bytes / (cached ? roofs.cache_gb_s : roofs.memory_gb_s) / 1e6;
    const timed = step.ms > 0, least = Math.max(compute, move);
    return { ...step, share: timed && all > 0 ? step.ms / all : 0, perByte: step.bytes > 0 ? 2 * step.macs / step.bytes : 0,
      gops: timed ? 2 * step.macs / step.ms / 1e6 : 0, ofRoof: timed && Number.isFinite(least) ? least / step.ms : null,
      limit: step.bytes === 0 && !compute ? "" : compute >= move ? "compute" : cached ? "cache" : "memory" };
  });
}

function rooflineOf(build) {
  const { profile } = build;
  const steps = stepsOf(profile);
  const points = steps.filter((s) => s.gops > 0 && s.perByte > 0 && kArithmetic[s.arithmetic]).sort((a, b) => b.ms - a.ms);
  const rest = steps.filter((s) => !(s.macs > 0) && s.ms > 0);
  const took = rest.reduce((sum, step) => sum + step.share, 0);
  return [
    points.length === 0 ? el("p", "notice", "No step of this build computes products.") : rooflineChart(build, points),
    el("p", "small", `${build.name}, medians of ${plural(profile.repetitions, "run")}; one run takes ${milliseconds(profile.run_ms)} ms.`
      + (rest.length === 0 ? "" : ` ${plural(rest.length, "step")} without products (pooling, sums, changes of format) took ${percent(took)} of the time and ${rest.length === 1 ? "has" : "have"} no point.`)),
    stepTable(steps),
  ];
}

/** The frame all points and the parts of the roofs that matter fit into. */
function frameOf(points, roofs) {
  const peaks = [...new Set(points.map((p) => kArithmetic[p.arithmetic].roof))].map((roof) => roofs[roof]).filter((peak) => peak > 0);
  const top = Math.max(...peaks, ...points.map((p) => p.gops));
  const ridge = roofs.memory_gb_s > 0 ? top / roofs.memory_gb_s : 0;
  return { left: Math.min(...points.map((p) => p.perByte)) / 2, right: 2 * Math.max(ridge, ...points.map((p) => p.perByte)),
    bottom: Math.min(...points.map((p) => p.gops)) / 2, top: 2 * top };
}

/** Flat lines for arithmetic, slanted ones for bandwidth: bytes a second times operations a byte. */
function roofLines(roofs, frame, highest) {
  const flat = Object.entries(kArithmetic).filter(([, { roof }]) => roofs[roof] > 0 && roofs[roof] <= frame.top)
    .map(([name, { roof }]) => ({ name: `${name} ${rate(roofs[roof])}OP/s`, flat: true,
      data: [{ x: Math.max(frame.left, roofs[roof] / Math.max(roofs.cache_gb_s, 1e-9)), y: roofs[roof] }, { x: frame.right, y: roofs[roof] }] }));
  const slanted = [["memory", roofs.memory_gb_s], ["caches", roofs.cache_gb_s]].filter(([, gbs]) => gbs > 0)
    .map(([name, gbs]) => ({ name: `${name} ${rate(gbs)}B/s`, flat: false,
      data: [Math.max(frame.left, frame.bottom / gbs), highest / gbs].map((x) => ({ x, y: x * gbs })) }))
    .filter(({ data: [from, to] }) => from.x < to.x);
  return [...flat, ...slanted];
}

/** The name of each line, on it: at the right end of a flat one, along the lower part of a slanted one. */
const lineNames = {
  id: "lineNames",
  afterDatasetsDraw(drawn) {
    const { ctx, chartArea: area, scales: { x, y } } = drawn;
    ctx.save();
    ctx.fillStyle = colour("muted");
    ctx.font = `11px ${Chart.defaults.font.family}`;
    for (const { roof } of drawn.data.datasets) {
      if (!roof) continue;
      const [from, to] = roof.data.map((p) => ({ x: x.getPixelForValue(p.x), y: y.getPixelForValue(p.y) }));
      ctx.save();
      ctx.translate(...(roof.flat ? [area.right - 4, from.y - 5] : [from.x, from.y]));
      if (!roof.flat) ctx.rotate(Math.atan2(to.y - from.y, to.x - from.x));
      ctx.textAlign = roof.flat ? "right" : "left";
      ctx.fillText(roof.name, roof.flat ? 0 : 8, roof.flat ? 0 : -5);
      ctx.restore();
    }
    ctx.restore();
  },
};

function rooflineChart(build, points) {
  const { roofs } = build.profile;
  const frame = frameOf(points, roofs);
  const lines = roofLines(roofs, frame, Math.max(...Object.values(kArithmetic).map(({ roof }) => roofs[roof] || 0).filter((peak) => peak <= frame.top)));
  const used = Object.keys(kArithmetic).filter((name) => points.some((p) => p.arithmetic === name));
  const pointsOf = (name) => {
    const own = points.filter((p) => p.arithmetic === name);
    const { tone, shape } = kArithmetic[name];
    return { label: name, data: own.map((p) => ({ x: p.perByte, y: p.gops, step: p })), pointStyle: shape, pointRadius: own.map((p) => 2.5 + 24 * Math.sqrt(p.share)),
      pointHoverRadius: own.map((p) => 4 + 24 * Math.sqrt(p.share)), backgroundColor: colour(tone) + "99", borderColor: colour(tone), borderWidth: 1 };
  };
  const about = ({ step }) => [`${step.op} on ${step.kernel}`, `${milliseconds(step.ms)} ms, ${percent(step.share)} of the time`,
    `${rate(step.gops)}OP/s at ${short(step.perByte)} operations a byte`, `${percent(step.ofRoof)} of its roof (${step.limit === "compute" ? step.arithmetic : step.limit})`];
  const decades = { callback: (n) => Number.isInteger(Math.log10(n)) ? powerOfTen(n) : null };
  return chart(`Operations a second against operations a byte of each step of ${build.name}`, 420, () => ({
    type: "scatter",
    data: { datasets: [...used.map(pointsOf), ...lines.map((line) => ({ type: "line", roof: line, data: line.data, borderColor: colour("muted"),
      borderWidth: 1, borderDash: line.flat ? [] : [5, 3], pointRadius: 0, pointHitRadius: 0 }))] },
    options: {
      scales: { x: axis("operations a byte", { type: "logarithmic", min: frame.left, max: frame.right, ticks: decades }),
        y: axis("10⁹ operations a second", { type: "logarithmic", min: frame.bottom, max: frame.top, ticks: decades }) },
      plugins: { legend: { display: true, align: "start", labels: { usePointStyle: true, filter: (item) => item.datasetIndex < used.length } },
        tooltip: { filter: (item) => Boolean(item.raw.step), callbacks: { title: (items) => items.length ? items[0].raw.step.node : "", label: (item) => about(item.raw) } } },
    },
    plugins: [lineNames],
  }));
}

function stepTable(steps) {
  const figure = (title, hint, get, text) => ({ title, hint, number: true, sort: get, text: (s) => text(get(s)) });
  const some = (x) => x > 0 ? x : null;
  return table([
    { title: "step", text: (s) => s.node }, { title: "kernel", text: (s) => s.kernel },
    { title: "arithmetic", hint: "what its products are computed in", text: (s) => s.arithmetic },
    figure("ms", "median", (s) => s.ms, (ms) => typeof ms === "number" ? ms.toFixed(4) : kDash), figure("share", "of the time of all steps", (s) => s.share, percent),
    figure("op/byte", "operations a byte", (s) => some(s.perByte), short), figure("GOP/s", "10⁹ operations a second", (s) => some(s.gops), short),
    figure("of roof", "of the lower of the two roofs above it", (s) => some(s.ofRoof), percent), { title: "roof", hint: "which one that is", text: (s) => s.limit },
  ], [...steps].sort((a, b) => b.ms - a.ms));
}
