// LSTM, GRU -> kernels/recurrent.
#include "kernels/recurrent/recurrent.h"

#include <algorithm>

#include "runtime/lower/format.h"
#include "runtime/lower/lower.h"

namespace narrow::runtime::lower {
namespace {

using ir::Op;

std::string recurrent_unsupported(const NodeCase& c) {
  for (const int i : {0, 1, 2, 3, 5, 6})
    if (c.has(i) && c.in(i).dtype != DType::f32) return "types are not f32";
  for (const int i : {1, 2, 3})
    if (c.has(i) && c.constant(i) == nullptr) return "weights are not constant";
  if (c.has(4)) return "sequences of different lengths";
  if (c.has(7)) return "peepholes";
  if (c.node.has("activations")) return "activations are named";
  if (c.node.float_attr("clip", 0) != 0 || c.node.int_attr("input_forget", 0) != 0)
    return "clip or input_forget";
  if (c.node.int_attr("layout", 0) != 0) return "batch is first";
  const bool fits = c.in(0).rank() == 3 && c.constant(1)->rank() == 3 && c.constant(2)->rank() == 3;
  return fits ? "" : "X, W or R is not of rank 3";
}

/// Shapes of one node: X [steps, batch, input], states [directions, batch, hidden].
struct Extents {
  int64_t steps, batch, input, hidden, directions;
};

const float* floats(const StepBuffers& b, size_t i) {
  return i < b.inputs.size() ? static_cast<const float*>(b.inputs[i]) : nullptr;
}

class Recurrent final : public Kernel {
 public:
  Recurrent(Extents e, bool reverse, std::vector<kernels::RecurrentCell> cells, Isa isa)
      : e_(e), reverse_(reverse), cells_(std::move(cells)), isa_(isa) {}

  int64_t scratch_bytes() const override {
    return (kernels::scratch_floats(cells_[0]) + 2 * e_.hidden) * static_cast<int64_t>(sizeof(float));
  }
  int64_t packed_bytes() const override {
    int64_t elements = 0;
    for (const kernels::RecurrentCell& cell : cells_)
      elements += std::ssize(cell.w.data) + std::ssize(cell.r.data) + std::ssize(cell.r_new.data);
    return elements * static_cast<int64_t>(sizeof(float));
  }
  Status run(const StepBuffers& buffers, ThreadPool& /*pool*/) const override {
    for (int64_t d = 0; d < e_.directions; ++d)
      for (int64_t s = 0; s < e_.batch; ++s) sequence(buffers, d, s);
    return {};
  }

 private:
  /// One direction of one sequence: the state lies behind the gates in the scratch memory.
  void sequence(const StepBuffers& b, int64_t d, int64_t s) const {
    const kernels::RecurrentCell& cell = cells_[static_cast<size_t>(d)];
    const int64_t n = e_.hidden, line = (d * e_.batch + s) * n;
    auto* gates = static_cast<float*>(b.scratch);
    float *h = gates + kernels::scratch_floats(cell), *c = h + n;
    load_state(floats(b, 5), line, h);
    load_state(cell.lstm ? floats(b, 6) : nullptr, line, c);
    for (int64_t i = 0; i < e_.steps; ++i) {
      const int64_t t = reverse_ || d == 1 ? e_.steps - 1 - i : i;
      kernels::step(cell, floats(b, 0) + (t * e_.batch + s) * e_.input, h, c, gates, isa_);
      store(b, 0, ((t * e_.directions + d) * e_.batch + s) * n, h);
    }
    store(b, 1, line, h);
    if (cell.lstm) store(b, 2, line, c);
  }

  void load_state(const float* from, int64_t line, float* state) const {
    if (from != nullptr)
      std::copy(from + line, from + line + e_.hidden, state);
    else
      std::fill(state, state + e_.hidden, 0.0F);
  }
  void store(const StepBuffers& b, size_t output, int64_t at, const float* state) const {
    if (output >= b.outputs.size() || b.outputs[output] == nullptr) return;
    std::copy(state, state + e_.hidden, static_cast<float*>(b.outputs[output]) + at);
  }

  Extents e_;
  bool reverse_;
  std::vector<kernels::RecurrentCell> cells_;
  Isa isa_;
};

Result<std::unique_ptr<Kernel>> create_recurrent(const NodeCase& c) {
  const Tensor &w = *c.constant(1), &r = *c.constant(2);
  const Shape x = c.in(0).shape();
  const Extents e{.steps = x[0], .batch = x[1], .input = x[2], .hidden = r.dim(2), .directions = r.dim(0)};
  const bool lstm = c.node.op() == Op::LSTM;
  const int64_t rows = (lstm ? 4 : 3) * e.hidden;
  const std::string direction = c.node.string_attr("direction", "forward");
  const bool fits = e.hidden > 0 && e.directions == (direction == "bidirectional" ? 2 : 1) &&
                    w.shape() == Shape{e.directions, rows, e.input} &&
                    r.shape() == Shape{e.directions, rows, e.hidden} &&
                    (!c.has(3) || c.constant(3)->elements() == e.directions * 2 * rows) &&
                    (!c.has(5) || elements_of(c.in(5).shape()) == e.directions * e.batch * e.hidden) &&
                    (!c.has(6) || elements_of(c.in(6).shape()) == e.directions * e.batch * e.hidden);
  if (!fits)
    return Error{.code = Code::invalid_model,
                 .subject = c.node.location(),
                 .expected = "W, R, B and states that fit each other",
                 .got = to_string(w.shape()) + " and " + to_string(r.shape())};
  const float* bias = c.has(3) ? c.constant(3)->data<float>().data() : nullptr;
  std::vector<kernels::RecurrentCell> cells;
  for (int64_t d = 0; d < e.directions; ++d)
    cells.push_back(kernels::pack_cell(lstm, c.node.int_attr("linear_before_reset", 0) != 0, e.input,
                                       e.hidden, w.data<float>().data() + d * rows * e.input,
                                       r.data<float>().data() + d * rows * e.hidden,
                                       bias == nullptr ? nullptr : bias + d * 2 * rows));
  return std::unique_ptr<Kernel>(
      std::make_unique<Recurrent>(e, direction == "reverse", std::move(cells), c.isa));
}

}  // namespace

void add_recurrent(Table& table) {
  for (const Op op : {Op::LSTM, Op::GRU})
    table[op].push_back({"recurrent", Isa::plain, recurrent_unsupported, create_recurrent, "f32"});
}

}  // namespace narrow::runtime::lower
