// LSTM and GRU with their usual activations, FP32: gates z = W x + R h + b, sigmoid and tanh.
//   LSTM (rows i, o, f, g)   c = s(f) * c + s(i) * tanh(g);  h = s(o) * tanh(c)
//   GRU  (rows z, r, n)      n = tanh(Wn x + Wbn + r * (Rn h + Rbn))   when linear_before_reset
//                            n = tanh(Wn x + Wbn + Rn (r * h) + Rbn)   otherwise;   h = (1 - z) * n + z * h
#pragma once

#include <cstdint>
#include <vector>

#include "base/cpu.h"
#include "kernels/recurrent/panel.h"

namespace narrow::kernels {

/// A matrix in panels of 64 rows, each stored column by column: [panel][column][row], rows padded with zeros.
struct RowPanels {
  int64_t rows = 0, columns = 0;
  std::vector<float> data;
  int64_t padded_rows() const { return (rows + kPanelRows - 1) / kPanelRows * kPanelRows; }
};

/// matrix: [rows, columns], row-major.
RowPanels pack_rows(const float* matrix, int64_t rows, int64_t columns);

/// y[0, padded_rows) += matrix x; sums run along the columns, in FP32.
void add_product(const RowPanels& matrix, const float* x, float* y, Isa isa);

/// One direction of an LSTM or GRU.
struct RecurrentCell {
  bool lstm = true, linear_before_reset = false;
  int64_t input = 0, hidden = 0;
  RowPanels w, r;             // every gate; of a GRU r holds z and r only
  RowPanels r_new;            // GRU: the rows of n
  std::vector<float> bias;    // [gates * hidden], padded: Wb + Rb, but for a GRU's n: Wb
  std::vector<float> r_bias;  // GRU: [hidden], padded: Rb of n
};

/// w: [gates * hidden, input], r: [gates * hidden, hidden], b: [2 * gates * hidden] (Wb, then Rb) or null.
RecurrentCell pack_cell(bool lstm, bool linear_before_reset, int64_t input, int64_t hidden, const float* w,
                        const float* r, const float* b);

/// Floats that step() needs.
int64_t scratch_floats(const RecurrentCell& cell);

/// One step of one sequence: h (and c of an LSTM), [hidden] each, become those after x, [input].
void step(const RecurrentCell& cell, const float* x, float* h, float* c, float* scratch, Isa isa);

}  // namespace narrow::kernels
