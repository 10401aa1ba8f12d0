#include "quant/refine_codes.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "base/aligned.h"
#include "quant/column_block.h"

namespace narrow::quant {
namespace {

class BlockRefiner {
 public:
  BlockRefiner(const RoundingProblem& problem, const WeightGrid& grid, const RefineOptions& options,
               int64_t first, GridWeights& weights)
      : problem_(problem),
        grid_(grid),
        options_(options),
        first_(first),
        live_(std::min(kBlock, problem.n - first)),
        weights_(weights),
        error_(problem.k),
        gradient_(problem.k) {
    for (int64_t g = 0; g < grid.groups(); ++g)
      for (int64_t k = grid.begin[static_cast<size_t>(g)]; k < grid.begin[static_cast<size_t>(g) + 1]; ++k)
        group_of_.push_back(g);
  }

  void run() {
    measure();
    for (int round = 0; round < options_.rounds; ++round) {
      bool moved = false;
      for (int sweep = 0; sweep < options_.sweeps && move_codes(); ++sweep) moved = true;
      if (!moved && round > 0) break;
      if (!options_.scales) break;
      if (!fit_scales()) break;
      measure();
    }
  }

 private:
  const float* hessian(int64_t k) const { return problem_.hessian.data() + k * problem_.k; }
  int16_t& code(int64_t k, int64_t c) { return weights_.codes[at(k, c)]; }
  size_t group_at(int64_t g, int64_t c) const { return static_cast<size_t>(g * problem_.n + first_ + c); }

  size_t at(int64_t k, int64_t c) const { return static_cast<size_t>(k * problem_.n + first_ + c); }
  /// What code and scale stand for.
  float back(int64_t k, int64_t c) {
    const size_t s = group_at(group_of_[static_cast<size_t>(k)], c);
    return static_cast<float>(code(k, c) - weights_.zero_point[s]) * weights_.scale[s];
  }
  float number(int64_t k, int64_t c) {
    return weights_.is_apart(at(k, c)) ? weights_.apart[at(k, c)] : back(k, c);
  }

  /// error_ = v - w*, gradient_ = H error_.
  void measure() {
    for (int64_t k = 0; k < problem_.k; ++k)
      for (int64_t c = 0; c < live_; ++c) error_.row(k)[c] = number(k, c) - problem_.target[at(k, c)];
    for (int64_t k = 0; k < problem_.k; ++k) {
      float sum[kBlock] = {};
      for (int64_t j = 0; j < problem_.k; ++j) add_scaled(sum, hessian(k)[j], error_.row(j));
      std::copy_n(sum, kBlock, gradient_.row(k));
    }
  }

  /// To the code nearest to `wanted` away.
  int steps(float wanted) const {
    const auto stride = static_cast<float>(grid_.stride);
    return grid_.stride * static_cast<int>(std::nearbyintf(std::clamp(wanted, -300.0F, 300.0F) / stride));
  }

  /// By how much the number moves.
  float move_code(int64_t k, int64_t c) {
    const float scale = weights_.scale[group_at(group_of_[static_cast<size_t>(k)], c)];
    const float wanted = -gradient_.row(k)[c] / (hessian(k)[k] * scale);
    if (!(std::fabs(wanted) > kLeastMove)) return 0;
    const int now = code(k, c), next = std::clamp(now + steps(wanted), grid_.low, grid_.high);
    code(k, c) = static_cast<int16_t>(next);
    return static_cast<float>(next - now) * scale;
  }

  /// Codes of two stay on the side they are on.
  float move_apart(int64_t k, int64_t c) {
    float& now = weights_.apart[at(k, c)];
    const float before = now;
    now = number_apart(now - gradient_.row(k)[c] / hessian(k)[k], back(k, c));
    return now - before;
  }

  /// One sweep; did any code move?
  bool move_codes() {
    bool any = false;
    for (int64_t k = 0; k < problem_.k; ++k) {
      float step[kBlock] = {};
      bool moved = false;
      for (int64_t c = 0; c < live_; ++c) {
        if (problem_.is_zero(k, first_ + c)) continue;
        step[c] = weights_.is_apart(at(k, c)) ? move_apart(k, c) : move_code(k, c);
        any = any || (step[c] != 0 && !weights_.is_apart(at(k, c)));
        moved = moved || step[c] != 0;
      }
      if (!moved) continue;
      add_scaled(error_.row(k), 1.0F, step);
      for (int64_t j = 0; j < problem_.k; ++j) add_scaled(gradient_.row(j), hessian(k)[j], step);
    }
    return any;
  }

  /// All scales of each column at once; did any column improve?
  bool fit_scales() {
    bool any = false;
    for (int64_t c = 0; c < live_; ++c) any = fit_column(c) || any;
    return any;
  }

  /// A s = b:  A_gh = v_g^T H v_h, b_g = v_g^T H (w* - a), with v_g the codes of run g less its zero point
  /// and a the weights apart, where v is 0. A ridge keeps the scales of runs that say nothing.
  bool fit_column(int64_t c) {
    const int64_t k = problem_.k, groups = grid_.groups();
    Eigen::MatrixXf products = Eigen::MatrixXf::Zero(k, groups);  // H v_g
    std::vector<float> digits(static_cast<size_t>(k));
    for (int64_t i = 0; i < k; ++i) {
      const int64_t g = group_of_[static_cast<size_t>(i)];
      const bool apart = weights_.is_apart(at(i, c));
      const auto digit = apart ? 0.0F : static_cast<float>(code(i, c) - weights_.zero_point[group_at(g, c)]);
      digits[static_cast<size_t>(i)] = digit;
      if (digit != 0) products.col(g) += digit * Eigen::Map<const Eigen::VectorXf>(hessian(i), k);
    }
    Eigen::MatrixXd a = Eigen::MatrixXd::Zero(groups, groups);
    Eigen::VectorXd b = Eigen::VectorXd::Zero(groups), now(groups);
    for (int64_t i = 0; i < k; ++i) {
      const int64_t g = group_of_[static_cast<size_t>(i)];
      const auto digit = static_cast<double>(digits[static_cast<size_t>(i)]);
      if (digit != 0) a.row(g) += digit * products.row(i).cast<double>();
      const float given = weights_.is_apart(at(i, c)) ? weights_.apart[at(i, c)] : 0;
      b +=
          static_cast<double>(problem_.target[at(i, c)] - given) * products.row(i).transpose().cast<double>();
    }
    for (int64_t g = 0; g < groups; ++g) now[g] = static_cast<double>(weights_.scale[group_at(g, c)]);
    return take(c, a, b, now);
  }

  /// Scales that are better as they will be stored are taken.
  bool take(int64_t c, const Eigen::MatrixXd& a, const Eigen::VectorXd& b, const Eigen::VectorXd& now) {
    Eigen::MatrixXd ridged = a;
    const double ridge = 1e-6 * std::max(a.diagonal().mean(), 1e-30);
    ridged.diagonal().array() += ridge;
    Eigen::VectorXd found = ridged.ldlt().solve(b + ridge * now);
    for (int64_t g = 0; g < found.size(); ++g) found[g] = found[g] > 0 ? stored(found[g], g, c) : now[g];
    const auto error = [&](const Eigen::VectorXd& s) { return s.dot(a * s) - 2 * s.dot(b); };
    if (grid_.whole_steps) {
      if (!(error(found) < error(now))) found = now;
      descend(c, a, b, found);
    }
    if (!(error(found) < error(now))) return false;
    for (int64_t g = 0; g < found.size(); ++g) weights_.scale[group_at(g, c)] = static_cast<float>(found[g]);
    return true;
  }

  double stored(double scale, int64_t g, int64_t c) const {
    return static_cast<double>(
        grid_.storable(static_cast<float>(scale), first_ + c, weights_.zero_point[group_at(g, c)]));
  }

  /// One scale after the other becomes the nearest to where the error is least with all others as they are.
  void descend(int64_t c, const Eigen::MatrixXd& a, const Eigen::VectorXd& b, Eigen::VectorXd& scale) const {
    for (int sweep = 0; sweep < options_.sweeps; ++sweep) {
      bool moved = false;
      for (int64_t g = 0; g < scale.size(); ++g) {
        if (!(a(g, g) > 0)) continue;
        const double wanted = scale[g] + (b[g] - a.row(g).dot(scale)) / a(g, g);
        const double next = stored(wanted, g, c);
        moved = moved || next != scale[g];
        scale[g] = next;
      }
      if (!moved) break;
    }
  }

  /// A code moves when the least error lies further than this: no cycles from rounding at ties.
  static constexpr float kLeastMove = 0.501F;

  const RoundingProblem& problem_;
  const WeightGrid& grid_;
  const RefineOptions& options_;
  int64_t first_, live_;
  GridWeights& weights_;
  ColumnBlock error_, gradient_;
  std::vector<int64_t> group_of_;  // of each k
};

}  // namespace

void refine_codes(const RoundingProblem& problem, const WeightGrid& grid, const RefineOptions& options,
                  GridWeights& weights, ThreadPool& pool) {
  pool.run(div_up(problem.n, kBlock),
           [&](int64_t block) { BlockRefiner(problem, grid, options, block * kBlock, weights).run(); });
}

}  // namespace narrow::quant
