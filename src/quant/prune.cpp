#include "quant/prune.h"

#include <algorithm>

#include "base/aligned.h"
#include "quant/column_block.h"

namespace narrow::quant {
namespace {

/// Rows that are scored together, about: SparseGPT's B_s.
constexpr int64_t kPanel = 128;

/// Sums of squares of units; exactly 0 where all of a unit is.
double square_of(const PruneUnit& unit, const std::vector<float>& weights, int64_t n, int64_t c) {
  double sum = 0;
  for (int64_t k = unit.begin; k < unit.end; ++k) {
    const auto w = static_cast<double>(weights[static_cast<size_t>(k * n + c)]);
    sum += w * w;
  }
  return sum;
}

/// Units [first, end) that are chosen among together.
struct Panel {
  size_t first, end;
};

/// Of m rows, or of about `rows`.
std::vector<Panel> panels_of(const PrunePattern& pattern, const std::vector<PruneUnit>& units, int64_t rows) {
  std::vector<Panel> panels;
  for (size_t first = 0; first < units.size();) {
    size_t end = first + 1;
    while (end < units.size() && (pattern.m > 0 ? static_cast<int64_t>(end - first) < pattern.m
                                                : units[end].end - units[first].begin <= rows))
      ++end;
    panels.push_back({first, end});
    first = end;
  }
  return panels;
}

/// The sweep over panels, last to first. Columns lie in blocks side by side.
class LossSweep {
 public:
  LossSweep(const RoundingProblem& problem, const std::vector<float>& weights, const PrunePattern& pattern,
            ThreadPool& pool)
      : problem_(problem), weights_(weights), pattern_(pattern), pool_(pool) {
    keep_.assign(weights.size(), 1);
    for (int64_t first = 0; first < problem.n; first += kBlock) {
      target_.push_back(ColumnBlock::of(problem.target, problem.k, problem.n, first));
      error_.emplace_back(problem.k);
      wanted_.emplace_back(problem.k);
    }
  }

  std::vector<uint8_t> run(const std::vector<PruneUnit>& units) {
    const std::vector<Panel> panels = panels_of(pattern_, units, kPanel);
    for (auto panel = panels.rbegin(); panel != panels.rend(); ++panel) {
      const std::span<const PruneUnit> own(units.data() + panel->first, panel->end - panel->first);
      std::vector<double> scores(own.size() * static_cast<size_t>(problem_.n));
      each_block([&](size_t b) { score(b, own, scores); });
      take(own, keep_units(pattern_, own, scores, problem_.n));
      each_block([&](size_t b) { settle(b, own.front().begin, own.back().end); });
    }
    return std::move(keep_);
  }

 private:
  template <class F>
  void each_block(F&& f) {
    pool_.run(static_cast<int64_t>(target_.size()), [&](int64_t b) { f(static_cast<size_t>(b)); });
  }
  const float* factor(int64_t k) const { return problem_.factor.data() + k * problem_.k; }
  int64_t live(size_t block) const {
    return std::min(kBlock, problem_.n - static_cast<int64_t>(block) * kBlock);
  }

  /// Rows [begin, end) as they should be once the rows behind them err as they do.
  void settle(size_t b, int64_t begin, int64_t end) {
    for (int64_t k = end - 1; k >= begin; --k) {
      float sum[kBlock] = {};
      for (int64_t j = k + 1; j < problem_.k; ++j) add_scaled(sum, factor(k)[j], error_[b].row(j));
      const float inverse = 1.0F / factor(k)[k];
      for (int64_t c = 0; c < kBlock; ++c) {
        const float target = target_[b].row(k)[c];
        float v = target - sum[c] * inverse;
        const auto at = static_cast<size_t>(k * problem_.n + static_cast<int64_t>(b) * kBlock + c);
        if (c < live(b) && keep_[at] == 0) v = 0;
        wanted_[b].row(k)[c] = v;
        error_[b].row(k)[c] = v - target;
      }
    }
  }

  /// |R_BB v_B|^2 of each unit, of numbers as they are when nothing of the panel goes.
  void score(size_t b, std::span<const PruneUnit> units, std::vector<double>& scores) {
    settle(b, units.front().begin, units.back().end);
    for (size_t u = 0; u < units.size(); ++u)
      for (int64_t c = 0; c < live(b); ++c) {
        const int64_t column = static_cast<int64_t>(b) * kBlock + c;
        double sum = 0;
        for (int64_t i = units[u].begin; i < units[u].end; ++i) {
          double part = 0;
          for (int64_t j = i; j < units[u].end; ++j)
            part += static_cast<double>(factor(i)[j]) * static_cast<double>(wanted_[b].row(j)[c]);
          sum += part * part;
        }
        const bool absent = square_of(units[u], weights_, problem_.n, column) == 0;
        scores[u * static_cast<size_t>(problem_.n) + static_cast<size_t>(column)] = absent ? 0 : sum;
      }
  }

  void take(std::span<const PruneUnit> units, const std::vector<uint8_t>& kept) {
    const auto n = static_cast<size_t>(problem_.n);
    for (size_t u = 0; u < units.size(); ++u)
      for (auto k = static_cast<size_t>(units[u].begin); k < static_cast<size_t>(units[u].end); ++k)
        for (size_t c = 0; c < n; ++c)
          keep_[k * n + c] = kept[u * n + c] != 0 && weights_[k * n + c] != 0 ? 1 : 0;
  }

  const RoundingProblem& problem_;
  const std::vector<float>& weights_;
  const PrunePattern& pattern_;
  ThreadPool& pool_;
  std::vector<uint8_t> keep_;
  std::vector<ColumnBlock> target_, error_, wanted_;
};

/// Conjugate gradients, preconditioned by the diagonal, on kBlock columns at a time.
class KeptFit {
 public:
  KeptFit(const RoundingProblem& problem, const std::vector<uint8_t>& keep, int64_t first,
          std::vector<float>& out)
      : problem_(problem),
        first_(first),
        live_(std::min(kBlock, problem.n - first)),
        out_(out),
        mask_(problem.k),
        v_(ColumnBlock::of(problem.target, problem.k, problem.n, first)),
        residual_(problem.k),
        direction_(problem.k),
        product_(problem.k) {
    for (int64_t k = 0; k < problem.k; ++k)
      for (int64_t c = 0; c < live_; ++c)
        mask_.row(k)[c] = static_cast<float>(keep[static_cast<size_t>(k * problem.n + first + c)]);
  }

  void run() {
    start();
    for (int step = 0; step < kSteps && advance(); ++step) {
    }
    for (int64_t k = 0; k < problem_.k; ++k)
      std::copy_n(v_.row(k), live_, out_.begin() + k * problem_.n + first_);
  }

 private:
  /// The damped H is well conditioned: the error changes in its fourth digit at most afterwards.
  static constexpr int kSteps = 40;
  /// Of the first residual's square.
  static constexpr double kEnough = 1e-10;

  const float* hessian(int64_t k) const { return problem_.hessian.data() + k * problem_.k; }

  /// out = mask H x
  void multiply(const ColumnBlock& x, ColumnBlock& out) const {
    for (int64_t k = 0; k < problem_.k; ++k) {
      float sum[kBlock] = {};
      for (int64_t j = 0; j < problem_.k; ++j) add_scaled(sum, hessian(k)[j], x.row(j));
      for (int64_t c = 0; c < kBlock; ++c) out.row(k)[c] = sum[c] * mask_.row(k)[c];
    }
  }

  /// sum_k a b / H_kk^power, of each column.
  void dot(const ColumnBlock& a, const ColumnBlock& b, bool preconditioned, double* sums) const {
    std::fill_n(sums, kBlock, 0.0);
    for (int64_t k = 0; k < problem_.k; ++k) {
      const double factor = preconditioned ? 1 / static_cast<double>(hessian(k)[k]) : 1;
      for (int64_t c = 0; c < kBlock; ++c)
        sums[c] += static_cast<double>(a.row(k)[c]) * static_cast<double>(b.row(k)[c]) * factor;
    }
  }

  /// From w* with its zeros: the residual is H (w* - v) = H of what was dropped.
  void start() {
    ColumnBlock dropped(problem_.k);
    for (int64_t k = 0; k < problem_.k; ++k)
      for (int64_t c = 0; c < kBlock; ++c) {
        float& v = v_.row(k)[c];
        dropped.row(k)[c] = mask_.row(k)[c] != 0 ? 0 : v;
        v *= mask_.row(k)[c];
      }
    multiply(dropped, residual_);
    for (int64_t k = 0; k < problem_.k; ++k)
      for (int64_t c = 0; c < kBlock; ++c) direction_.row(k)[c] = residual_.row(k)[c] / hessian(k)[k];
    dot(residual_, residual_, true, now_);
    for (int64_t c = 0; c < kBlock; ++c) enough_[c] = kEnough * now_[c];
  }

  /// One step of each column that is not there yet; was there any?
  bool advance() {
    double curvature[kBlock], next[kBlock];
    multiply(direction_, product_);
    dot(direction_, product_, false, curvature);
    float length[kBlock] = {}, turn[kBlock] = {};
    bool any = false;
    for (int64_t c = 0; c < live_; ++c) {
      if (!(now_[c] > enough_[c]) || !(curvature[c] > 0)) continue;
      length[c] = static_cast<float>(now_[c] / curvature[c]);
      any = true;
    }
    if (!any) return false;
    for (int64_t k = 0; k < problem_.k; ++k)
      for (int64_t c = 0; c < kBlock; ++c) {
        v_.row(k)[c] += length[c] * direction_.row(k)[c];
        residual_.row(k)[c] -= length[c] * product_.row(k)[c];
      }
    dot(residual_, residual_, true, next);
    for (int64_t c = 0; c < live_; ++c)
      if (length[c] != 0) turn[c] = static_cast<float>(next[c] / now_[c]), now_[c] = next[c];
    for (int64_t k = 0; k < problem_.k; ++k)
      for (int64_t c = 0; c < kBlock; ++c)
        direction_.row(k)[c] = residual_.row(k)[c] / hessian(k)[k] + turn[c] * direction_.row(k)[c];
    return true;
  }

  const RoundingProblem& problem_;
  int64_t first_, live_;
  std::vector<float>& out_;
  ColumnBlock mask_, v_, residual_, direction_, product_;
  double now_[kBlock] = {}, enough_[kBlock] = {};
};

}  // namespace

std::vector<uint8_t> keep_by_magnitude(const std::vector<float>& weights, int64_t n,
                                       const PrunePattern& pattern, const HeavyShape& shape) {
  const std::vector<PruneUnit> units = units_of(pattern, shape);
  std::vector<uint8_t> keep(weights.size(), 1);
  for (const Panel& panel : panels_of(pattern, units, shape.k)) {
    const std::span<const PruneUnit> own(units.data() + panel.first, panel.end - panel.first);
    std::vector<double> scores;
    for (const PruneUnit& unit : own)
      for (int64_t c = 0; c < n; ++c) scores.push_back(square_of(unit, weights, n, c));
    const std::vector<uint8_t> kept = keep_units(pattern, own, scores, n);
    for (size_t u = 0; u < own.size(); ++u)
      for (int64_t k = own[u].begin; k < own[u].end; ++k)
        for (int64_t c = 0; c < n; ++c) {
          const auto at = static_cast<size_t>(k * n + c);
          keep[at] =
              kept[u * static_cast<size_t>(n) + static_cast<size_t>(c)] != 0 && weights[at] != 0 ? 1 : 0;
        }
  }
  return keep;
}

std::vector<uint8_t> keep_by_loss(const RoundingProblem& problem, const std::vector<float>& weights,
                                  const PrunePattern& pattern, const HeavyShape& shape, ThreadPool& pool) {
  return LossSweep(problem, weights, pattern, pool).run(units_of(pattern, shape));
}

std::vector<float> fit_kept(const RoundingProblem& problem, const std::vector<uint8_t>& keep,
                            ThreadPool& pool) {
  std::vector<float> fitted(keep.size());
  pool.run(div_up(problem.n, kBlock),
           [&](int64_t block) { KeptFit(problem, keep, block * kBlock, fitted).run(); });
  return fitted;
}

}  // namespace narrow::quant
