// What stayed wide and why, what was fused, gates, findings, where everything came from.
"use strict";

/** What the portable passes do; `narrow build` names them in the manifest. */
const kPasses = {
  fold_batchnorm: "batch normalisations folded into the convolution or product before them",
  fold_constants: "operations on constants computed once, ahead of time",
  fold_affine: "scalings and shifts by constants folded into neighbouring weights",
  clean_up: "operations that change nothing removed",
  share_common: "repeated computations shared",
  recognise_layernorm: "layer normalisations recognised in their parts",
  recognise_groupnorm: "group normalisations recognised in their parts",
  recognise_rmsnorm: "RMS normalisations recognised in their parts",
  recognise_gelu: "GELU activations recognised in their parts",
  recognise_silu: "SiLU activations recognised in their parts",
  recognise_attention: "attention blocks recognised in their parts",
  recognise_shuffle: "channel shuffles recognised in their parts",
  batchnorm_to_conv: "batch normalisations written as convolutions",
  expand_qlinear: "quantized operators of the model written out",
  resolve_auto_pad: "automatic padding written out",
  trim_taps: "taps that only saw padding removed",
};

const kWideFormats = { f32: 32, f64: 64, bf16: 16, f16: 16 };
const kBits = { fp32: 32, bf16: 16, fp16: 16, int8: 8, mixed: 8 };

/** Named choices with their reasons, then what is wider than the precision although no plan names it. */
function wideOf(build) {
  const { nodes = {} } = build.recipe || {};
  const layers = Array.isArray(build.layers) ? build.layers : [];
  const byValue = new Map(layers.map((l) => [l.value, l]));
  const named = Object.entries(nodes).filter(([, node]) => node.reason)
    .map(([value, node]) => ({ layer: node.node || (byValue.get(value) || {}).node || value, op: node.op || "", format: node.format, reason: node.reason }));
  const known = new Set(named.map((l) => l.layer));
  const silent = layers.filter((l) => kWideFormats[l.format] > kBits[build.name] && !nodes[l.value] && !known.has(l.node));
  return { named, silent };
}

function drawWide(report) {
  const builds = report.builds.filter((b) => b.name !== "fp32");
  const parts = builds.map((build) => {
    const { named, silent } = wideOf(build);
    const byOp = new Map();
    for (const layer of silent) byOp.set(layer.op, (byOp.get(layer.op) || 0) + 1);
    const ops = [...byOp].sort((a, b) => b[1] - a[1]).map(([op, n]) => `${op} ${n}`).join(", ");
    return el("section", "part", el("h3", "", build.name),
      named.length === 0 ? el("p", "", "No layer was widened or held back.") : table([
        { title: "layer", text: (l) => l.layer }, { title: "op", text: (l) => l.op },
        { title: "computes in", text: (l) => l.format }, { title: "why", text: (l) => l.reason },
      ], named),
      silent.length === 0 ? null : el("p", "small", `${plural(silent.length, "further result")} ${silent.length === 1 ? "is" : "are"} stored as floats (outputs, the tail after the last layer `
        + `with weights, operations whose neighbours do not work in ${build.name}): ${ops}.`));
  });
  return builds.length === 0 ? [el("p", "notice", "Only fp32 was built.")] : parts;
}

function drawFused(report) {
  const passes = report.manifest.optimized || [];
  const place = el("div", "");
  const builds = report.builds.filter((b) => b.plan && Array.isArray(b.plan.steps));
  const show = (name) => place.replaceChildren(...kernelsOf(report, builds.find((b) => b.name === name)));
  return [
    passes.length === 0 ? el("p", "", "The model needed no rewriting.") : table([
      { title: "rewrite", text: (p) => p.pass }, { title: "changes", number: true, text: (p) => count(p.changes), sort: (p) => p.changes },
      { title: "what it does", text: (p) => kPasses[p.pass] || "" }], passes),
    builds.length === 0 ? null : choice("Build", builds.map((b) => [b.name, b.name]), firstShown(report, builds), show), place,
  ];
}

function kernelsOf(report, build) {
  const { steps } = build.plan;
  const groups = new Map();
  for (const step of steps) {
    const key = JSON.stringify([step.op, step.kernel, Boolean(step.emulated)]);
    if (!groups.has(key)) groups.set(key, { op: step.op, kernel: step.kernel, emulated: step.emulated, steps: [] });
    groups.get(key).steps.push(step.node);
  }
  const rows = [...groups.values()].sort((a, b) => b.steps.length - a.steps.length);
  const nodes = report.manifest.model.nodes;
  return [
    el("p", "", typeof nodes === "number" ? `${plural(nodes, "node")} of the model run as ${plural(steps.length, "step")} in ${build.name}. ` : "",
      "An op called Fused… carries its bias, activation or residual addition with it: their intermediate results are never stored."),
    table([
      { title: "op", text: (g) => g.op }, { title: "kernel", text: (g) => g.kernel, note: (g) => g.emulated ? "emulated: the format is not native here" : "" },
      { title: "steps", number: true, text: (g) => count(g.steps.length), sort: (g) => g.steps.length },
      { title: "which", text: (g) => g.steps.slice(0, 6).join(", ") + (g.steps.length > 6 ? ", …" : "") },
    ], rows),
  ];
}

function drawGates(report) {
  const rows = report.builds.flatMap((b) => (b.gates || []).map((gate) => ({ ...gate, build: b.name })));
  if (rows.length === 0) return [el("p", "notice", "No gate was set (--gate): no build could fail.")];
  const tone = { passed: "good", failed: "bad", inconclusive: "warn" };
  const compared = (report.manifest.comparisons || {}).sentence;
  const taken = report.manifest.sequential;  // samples by build, with --proof sequential
  return [compared ? el("p", "", compared) : null, table([
    { title: "build", text: (g) => g.build }, { title: "gate", text: (g) => g.gate },
    { title: "verdict", text: (g) => g.verdict, style: (g) => tone[g.verdict] || "" },
    { title: "value", number: true, text: (g) => short(g.value), sort: (g) => g.value, note: (g) => g.interval ? g.interval.map(short).join(" … ") : "" },
    { title: "p", hint: "one-sided: how probable figures as good as these are when the bound is just missed", number: true,
      text: (g) => typeof g.p === "number" ? (g.p < 0.0001 ? "< 0.0001" : g.p.toFixed(4)) : kDash, sort: (g) => g.p,
      note: (g) => g.interval && typeof g.level === "number" ? `${(100 * g.level).toFixed(2)}% interval` : "" },
    ...(taken ? [{ title: "samples", hint: "looked at until this build's gates were decided", number: true,
      text: (g) => taken[g.build] ? `${count(taken[g.build].samples)} of ${count(taken[g.build].available)}` : kDash,
      sort: (g) => (taken[g.build] || {}).samples }] : []),
    { title: "more samples", hint: "about how many more would settle a bound that the interval contains", number: true,
      text: (g) => g.more_samples ? count(g.more_samples) : kDash, sort: (g) => g.more_samples },
    { title: "reason", text: (g) => g.reason },
  ], rows)];
}

function drawFindings(report) {
  const parts = report.builds.filter((b) => (b.findings || []).length > 0)
    .map((b) => el("section", "part", el("h3", "", b.name), el("ul", "", b.findings.map((text) => el("li", "", text)))));
  return parts.length > 0 ? parts : [el("p", "", "Nothing out of the ordinary: no dead or saturated layer, no NaN or Inf.")];
}

function drawProvenance(report) {
  const { tool, model = {}, calibration = {}, evaluation = {}, options = {}, machine = {} } = report.manifest;
  const list = (pairs) => el("dl", "pairs-list", pairs.filter(([, value]) => value !== undefined && value !== null && value !== "")
    .map(([name, value]) => [el("dt", "", name), el("dd", "", String(value))]));
  const block = (title, pairs) => el("section", "part", el("h3", "", title), list(pairs));
  const command = ["narrow build", model.file, `--precisions ${(options.precisions || []).join(",")}`,
    ...(options.gates || []).map((gate) => `--gate '${gate}'`), `--objective ${options.objective}`, `--proof ${options.proof}`,
    `--calib-method ${options.calibration}`, options.calibration === "percentile" ? `--percentile ${options.percentile}` : "",
    options.metric_command ? `--metric-cmd '${options.metric_command}'` : "", `--batch ${options.batch}`, `--seed ${options.seed}`,
    `--threads ${machine.threads}`].filter(Boolean).join(" ");
  return [
    el("div", "columns",
      block("Machine", [["processor", machine.processor], ["instruction set", machine.isa], ["cores", machine.cores],
        ["threads", machine.threads], ["load before timing", typeof machine.load_average === "number" ? fixed(machine.load_average, 2) : null]]),
      block("Inputs", [["tool", tool], ["model", model.file], ["model hash", model.hash], ["calibration hash", calibration.hash],
        ["calibration samples", calibration.samples], ["evaluation hash", evaluation.hash], ["evaluation samples", evaluation.hash ? evaluation.samples : "none"]]),
      block("Options", [["precisions", (options.precisions || []).join(", ")], ["gates", (options.gates || []).join(", ") || "none"],
        ["objective", options.objective], ["proof", options.proof], ["calibration", options.calibration], ["batch", options.batch],
        ["seed", options.seed], ["metric command", options.metric_command]])),
    el("p", "", "As a command (with the --calib, --eval and --out of yours):"), el("pre", { tabindex: "0" }, command),
  ];
}
