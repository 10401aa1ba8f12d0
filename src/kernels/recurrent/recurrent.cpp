#include "kernels/recurrent/recurrent.h"

#include <algorithm>

#include "kernels/activation.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/runs.h"

namespace narrow::kernels {
namespace {

int64_t padded(int64_t rows) { return (rows + kPanelRows - 1) / kPanelRows * kPanelRows; }

void activate(Act act, float* x, int64_t n, Isa isa) {
  UnaryFunction function;
  function.activation.kind = act;
  unary_run(function, x, x, n, isa);
}

void step_lstm(const RecurrentCell& cell, const float* x, float* h, float* c, float* gates, Isa isa) {
  const int64_t n = cell.hidden;
  std::copy(cell.bias.begin(), cell.bias.end(), gates);
  add_product(cell.w, x, gates, isa);
  add_product(cell.r, h, gates, isa);
  activate(Act::sigmoid, gates, 3 * n, isa);
  activate(Act::tanh, gates + 3 * n, n, isa);
  const float *in = gates, *out = gates + n, *forget = gates + 2 * n, *fresh = gates + 3 * n;
  for (int64_t i = 0; i < n; ++i) c[i] = forget[i] * c[i] + in[i] * fresh[i];
  std::copy(c, c + n, h);
  activate(Act::tanh, h, n, isa);
  for (int64_t i = 0; i < n; ++i) h[i] *= out[i];
}

void step_gru(const RecurrentCell& cell, const float* x, float* h, float* gates, Isa isa) {
  const int64_t n = cell.hidden;
  float* state = gates + padded(3 * n);  // what the state adds to n, [padded hidden]
  float* reset = state + padded(n);
  std::copy(cell.bias.begin(), cell.bias.end(), gates);
  add_product(cell.w, x, gates, isa);
  // z and r lie before n: their panels may reach into it, with zeros.
  add_product(cell.r, h, gates, isa);
  activate(Act::sigmoid, gates, 2 * n, isa);
  const float *z = gates, *r = gates + n;
  float* fresh = gates + 2 * n;
  std::copy(cell.r_bias.begin(), cell.r_bias.end(), state);
  if (cell.linear_before_reset) {
    add_product(cell.r_new, h, state, isa);
    for (int64_t i = 0; i < n; ++i) fresh[i] += r[i] * state[i];
  } else {
    for (int64_t i = 0; i < n; ++i) reset[i] = r[i] * h[i];
    add_product(cell.r_new, reset, state, isa);
    for (int64_t i = 0; i < n; ++i) fresh[i] += state[i];
  }
  activate(Act::tanh, fresh, n, isa);
  for (int64_t i = 0; i < n; ++i) h[i] = (1 - z[i]) * fresh[i] + z[i] * h[i];
}

}  // namespace

RowPanels pack_rows(const float* matrix, int64_t rows, int64_t columns) {
  RowPanels packed{.rows = rows, .columns = columns, .data = {}};
  packed.data.assign(static_cast<size_t>(packed.padded_rows() * columns), 0);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      packed
          .data[static_cast<size_t>((row / kPanelRows * columns + column) * kPanelRows + row % kPanelRows)] =
          matrix[row * columns + column];
  return packed;
}

void add_panel_plain(const float* panel, int64_t columns, const float* x, float* y) {
  for (int64_t column = 0; column < columns; ++column, panel += kPanelRows)
    for (int64_t row = 0; row < kPanelRows; ++row) y[row] += panel[row] * x[column];
}

void add_product(const RowPanels& matrix, const float* x, float* y, Isa isa) {
  const auto add_panel = isa >= Isa::avx512 ? add_panel_avx512
                         : isa >= Isa::avx2 ? add_panel_avx2
                                            : add_panel_plain;
  for (int64_t row = 0; row < matrix.rows; row += kPanelRows)
    add_panel(matrix.data.data() + row * matrix.columns, matrix.columns, x, y + row);
}

RecurrentCell pack_cell(bool lstm, bool linear_before_reset, int64_t input, int64_t hidden, const float* w,
                        const float* r, const float* b) {
  const int64_t rows = (lstm ? 4 : 3) * hidden, joint = lstm ? rows : 2 * hidden;
  RecurrentCell cell{.lstm = lstm,
                     .linear_before_reset = linear_before_reset,
                     .input = input,
                     .hidden = hidden,
                     .w = pack_rows(w, rows, input),
                     .r = pack_rows(r, joint, hidden),
                     .r_new = {},
                     .bias = {},
                     .r_bias = {}};
  cell.bias.assign(static_cast<size_t>(padded(rows)), 0);
  if (b != nullptr)
    for (int64_t i = 0; i < rows; ++i)
      cell.bias[static_cast<size_t>(i)] = i < joint ? b[i] + b[rows + i] : b[i];
  if (lstm) return cell;
  cell.r_new = pack_rows(r + joint * hidden, hidden, hidden);
  cell.r_bias.assign(static_cast<size_t>(padded(hidden)), 0);
  if (b != nullptr) std::copy(b + rows + joint, b + 2 * rows, cell.r_bias.begin());
  return cell;
}

int64_t scratch_floats(const RecurrentCell& cell) {
  return padded((cell.lstm ? 4 : 3) * cell.hidden) + (cell.lstm ? 0 : 2 * padded(cell.hidden));
}

void step(const RecurrentCell& cell, const float* x, float* h, float* c, float* scratch, Isa isa) {
  if (cell.lstm)
    step_lstm(cell, x, h, c, scratch, isa);
  else
    step_gru(cell, x, h, scratch, isa);
}

}  // namespace narrow::kernels
