// Numbers as people read them, and what the figures are.
"use strict";

const kDash = "–";
const kThin = "\u202f";

/** As the command line writes them: a very small model's times keep their digits. */
const milliseconds = (ms) => typeof ms !== "number" ? kDash : ms.toFixed(ms < 0.1 ? 4 : 2);

function bytes(n) {
  if (typeof n !== "number") return kDash;
  if (n < 1e6) return (n / 1e3).toFixed(0) + " kB";
  return n < 1e9 ? (n / 1e6).toFixed(1) + " MB" : (n / 1e9).toFixed(2) + " GB";
}

/** 2577354 -> "2.58 M". */
function amount(n) {
  if (typeof n !== "number") return kDash;
  for (const [limit, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]])
    if (n >= limit) return (n / limit).toPrecision(3) + unit;
  return String(n);
}

/** 10000 -> "10 k", for axes. */
const powerOfTen = (n) => n >= 1e9 ? n / 1e9 + " G" : n >= 1e6 ? n / 1e6 + " M" : n >= 1e3 ? n / 1e3 + " k" : String(n);
const count = (n) => typeof n !== "number" ? kDash : n.toLocaleString("en").replaceAll(",", kThin);
function percent(share) {
  if (typeof share !== "number") return kDash;
  if (share === 0) return "0%";
  return share < 1e-5 ? "<0.001%" : (100 * share).toFixed(share < 1e-3 ? 3 : 1) + "%";
}

/** With a true minus sign and no "-0". */
function fixed(x, digits) {
  if (typeof x !== "number") return kDash;
  const text = x.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text.replace("-", "−");
}
const signed = (x, digits) => (Number(fixed(x, digits).replace("−", "-")) > 0 ? "+" : "") + fixed(x, digits);
/** Three significant digits, for values of any magnitude. */
const short = (x) => typeof x !== "number" ? kDash : String(Number(x.toPrecision(3))).replace("-", "−");

/** narrow writes 200 dB where nothing differs. */
const kExact = 200;
const decibels = (x) => typeof x !== "number" ? kDash : x >= kExact ? "exact" : fixed(x, 1);
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

/** title, unit, digits, whether less is better, and what the figure says. In the order tables show them. */
const kFigures = {
  top1: { title: "top-1", unit: "%", digits: 2, about: "samples whose best answer is the label" },
  top5: { title: "top-5", unit: "%", digits: 2, about: "samples whose label is among the five best answers" },
  f1: { title: "F1", unit: "%", digits: 2, about: "harmonic mean of precision and recall, averaged over classes" },
  perplexity: { title: "perplexity", unit: "", digits: 4, less: true, about: "how surprised the model is by each next token; less is better" },
  mae: { title: "MAE", unit: "", digits: 5, less: true, about: "mean absolute error against the targets; less is better" },
  rmse: { title: "RMSE", unit: "", digits: 5, less: true, about: "root of the mean squared error against the targets; less is better" },
  agreement: { title: "agreement", unit: "%", digits: 2, about: "answers whose best class is the one FP32 gives" },
  margin: { title: "margin", unit: "", digits: 4, about: "how far FP32's answer lies above the next class; more is surer" },
  margin_halved: { title: "margin halved", unit: "%", digits: 2, less: true, about: "answers with less than half of FP32's margin left" },
  cosine: { title: "cosine", unit: "", digits: 5, about: "cosine of the angle between the outputs and those of FP32; 1 is the same direction" },
  kld: { title: "KLD", unit: "", digits: 5, less: true, about: "Kullback–Leibler divergence from the probabilities of FP32; 0 is none" },
  sqnr: { title: "SQNR", unit: "dB", digits: 1, about: "signal to quantization noise ratio of the outputs; more is better" },
};

const figureText = (name, x) => name === "sqnr" && x >= kExact ? "exact" : fixed(x, kFigures[name].digits);
const rangeText = (name, pair) => !Array.isArray(pair) || (name === "sqnr" && pair[0] >= kExact) ? ""
  : `${fixed(pair[0], kFigures[name].digits)} … ${fixed(pair[1], kFigures[name].digits)}`;

/** The one figure headlines and the trade-off show. */
function headline(builds) {
  const names = ["top1", "perplexity", "mae", "agreement", "cosine"];
  return names.find((name) => builds.every((b) => b.figures && b.figures[name])) || null;
}
