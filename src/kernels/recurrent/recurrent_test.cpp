#include "kernels/recurrent/recurrent.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "kernels/test_isas.h"

namespace narrow::kernels {
namespace {

std::vector<float> numbers(Random& random, int64_t count) {
  std::vector<float> list(static_cast<size_t>(count));
  for (float& x : list) x = static_cast<float>(random.normal());
  return list;
}

TEST(AddProduct, EqualsSumsInDouble) {
  Random random(1);
  for (const Isa isa : usable_isas())
    for (const int64_t rows : {1, 63, 64, 65, 200})
      for (const int64_t columns : {0, 1, 7, 130}) {
        const std::vector<float> matrix = numbers(random, rows * columns), x = numbers(random, columns);
        const RowPanels packed = pack_rows(matrix.data(), rows, columns);
        std::vector<float> y(static_cast<size_t>(packed.padded_rows()), 0.5F);
        add_product(packed, x.data(), y.data(), isa);
        for (int64_t row = 0; row < packed.padded_rows(); ++row) {
          double sum = 0.5, size = 0.5;
          for (int64_t i = 0; row < rows && i < columns; ++i) {
            const double product = static_cast<double>(matrix[static_cast<size_t>(row * columns + i)]) *
                                   static_cast<double>(x[static_cast<size_t>(i)]);
            sum += product;
            size += std::fabs(product);
          }
          const double bound =
              std::numeric_limits<float>::epsilon() * static_cast<double>(columns + 1) * size;
          EXPECT_NEAR(y[static_cast<size_t>(row)], sum, bound)
              << to_string(isa) << " row " << row << " of " << rows << " x " << columns;
        }
      }
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// Gate row `row` of W x + Wb and of R h + Rb, in double.
struct Rows {
  const std::vector<float>&w, &r, &b, &x;
  int64_t rows;
  double from_input(int64_t row) const {
    double sum = b[static_cast<size_t>(row)];
    for (size_t i = 0; i < x.size(); ++i)
      sum += static_cast<double>(w[static_cast<size_t>(row) * x.size() + i]) * x[i];
    return sum;
  }
  double from_state(int64_t row, const std::vector<double>& h) const {
    double sum = b[static_cast<size_t>(rows + row)];
    for (size_t i = 0; i < h.size(); ++i)
      sum += static_cast<double>(r[static_cast<size_t>(row) * h.size() + i]) * h[i];
    return sum;
  }
};

/// The formulas at the top of recurrent.h, in double. h and c change.
void expected_step(const RecurrentCell& cell, const Rows& rows, std::vector<double>& h,
                   std::vector<double>& c) {
  const int64_t n = cell.hidden;
  const std::vector<double> before = h;
  const auto gate = [&](int64_t g, int64_t i) {
    return rows.from_input(g * n + i) + rows.from_state(g * n + i, before);
  };
  std::vector<double> reset(before.size());
  for (int64_t i = 0; i < n && !cell.lstm; ++i)
    reset[static_cast<size_t>(i)] = sigmoid(gate(1, i)) * before[static_cast<size_t>(i)];
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    if (cell.lstm) {
      c[at] = sigmoid(gate(2, i)) * c[at] + sigmoid(gate(0, i)) * std::tanh(gate(3, i));
      h[at] = sigmoid(gate(1, i)) * std::tanh(c[at]);
    } else {
      const double state = cell.linear_before_reset ? sigmoid(gate(1, i)) * rows.from_state(2 * n + i, before)
                                                    : rows.from_state(2 * n + i, reset);
      const double z = sigmoid(gate(0, i));
      h[at] = (1 - z) * std::tanh(rows.from_input(2 * n + i) + state) + z * before[at];
    }
  }
}

TEST(RecurrentStep, FollowsTheFormulas) {
  Random random(2);
  for (const Isa isa : usable_isas())
    for (const bool lstm : {true, false})
      for (const bool linear : {true, false})
        for (const int64_t hidden : {1, 10, 33, 64, 97}) {
          const int64_t input = 5, count = (lstm ? 4 : 3) * hidden;
          const std::vector<float> w = numbers(random, count * input), r = numbers(random, count * hidden),
                                   b = numbers(random, 2 * count), x = numbers(random, input);
          const RecurrentCell cell = pack_cell(lstm, linear, input, hidden, w.data(), r.data(), b.data());
          std::vector<float> h = numbers(random, hidden), c = numbers(random, hidden),
                             scratch(static_cast<size_t>(scratch_floats(cell)));
          std::vector<double> h_wanted(h.begin(), h.end()), c_wanted(c.begin(), c.end());
          expected_step(cell, {w, r, b, x, count}, h_wanted, c_wanted);
          step(cell, x.data(), h.data(), c.data(), scratch.data(), isa);
          // A gate sums hidden + input + 2 terms of about 1; sigmoid and tanh have slopes of at most 1, and c
          // stays below |c| + 1.
          const double bound =
              64 * std::numeric_limits<float>::epsilon() * static_cast<double>(hidden + input + 2);
          for (size_t i = 0; i < h.size(); ++i) {
            EXPECT_NEAR(h[i], h_wanted[i], bound) << to_string(isa) << (lstm ? " LSTM " : " GRU ") << hidden;
            if (!lstm) continue;
            EXPECT_NEAR(c[i], c_wanted[i], bound);
          }
        }
}

}  // namespace
}  // namespace narrow::kernels
