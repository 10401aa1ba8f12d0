#include "quant/rounding_problem.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>

namespace narrow::quant {
namespace {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using ConstMap = Eigen::Map<const Matrix<T>>;

/// The mean over rows of x' and something, without the product of the means where `centred`. Row by row: such
/// a matrix in double once more would be the largest thing there is.
template <class T>
Matrix<T> covariance(const std::vector<double>& sums, const Moments& m, const std::vector<double>& right,
                     bool centred) {
  const auto columns = static_cast<int64_t>(right.size());
  const ConstMap<double> all(sums.data(), m.k, columns);
  const Eigen::Map<const Eigen::RowVectorXd> means(right.data(), columns);
  const auto rows = static_cast<double>(std::max<int64_t>(1, m.rows));
  Matrix<T> c(m.k, columns);
  for (int64_t k = 0; k < m.k; ++k) {
    const double mean = centred ? m.mean_quantized[static_cast<size_t>(k)] : 0;
    c.row(k) = (all.row(k) / rows - mean * means).template cast<T>();
  }
  return c;
}

constexpr int64_t kMostInDouble = 1024;  // beyond, time weighs more; damping keeps FP32 stable

/// In place of the damping of data that are zero throughout.
constexpr double kDead = 1e-12;

template <class T>
void solve(const Moments& m, const std::vector<float>& weights, const ProblemOptions& options,
           RoundingProblem& problem) {
  Matrix<T> h = covariance<T>(m.quantized, m, m.mean_quantized, options.centred),
            c = covariance<T>(m.cross, m, m.mean, options.centred);
  const T mean = h.diagonal().mean();
  const T damping = mean > 0 ? static_cast<T>(options.damping) * mean : static_cast<T>(kDead);
  h.diagonal().array() += damping;
  c.diagonal().array() += damping;
  const auto keep = [](Matrix<T> from, std::vector<float>& to) {
    to.resize(static_cast<size_t>(from.size()));
    Eigen::Map<Matrix<float>>(to.data(), from.rows(), from.cols()) = from.template cast<float>();
  };
  keep(h, problem.hessian);
  Matrix<T> wanted = c * ConstMap<float>(weights.data(), problem.k, problem.n).template cast<T>();
  c.resize(0, 0);
  if (!m.residual.empty()) wanted += covariance<T>(m.residual, m, m.mean_residual, options.centred);
  const Eigen::LLT<Eigen::Ref<Matrix<T>>, Eigen::Upper> llt(h);  // in place
  keep(llt.solve(wanted), problem.target);
  h.template triangularView<Eigen::StrictlyLower>().setZero();
  keep(std::move(h), problem.factor);
}

}  // namespace

double damping_for(const Moments& moments, double damping) {
  if (moments.rows >= 2 * moments.k) return damping;
  return std::max(damping, static_cast<double>(moments.k) / static_cast<double>(moments.rows));
}

RoundingProblem make_problem(const Moments& moments, const std::vector<float>& weights,
                             const ProblemOptions& options) {
  RoundingProblem problem;
  problem.k = moments.k;
  problem.n = static_cast<int64_t>(weights.size()) / std::max<int64_t>(1, moments.k);
  if (problem.k <= kMostInDouble)
    solve<double>(moments, weights, options, problem);
  else
    solve<float>(moments, weights, options, problem);
  return problem;
}

std::vector<float> upper_factor(const std::vector<float>& hessian, int64_t k) {
  const ConstMap<float> h(hessian.data(), k, k);
  std::vector<float> out(hessian.size());
  Eigen::Map<Matrix<float>> factor(out.data(), k, k);
  if (k <= kMostInDouble)
    factor =
        Matrix<double>(Eigen::LLT<Matrix<double>, Eigen::Upper>(h.cast<double>()).matrixU()).cast<float>();
  else
    factor = Eigen::LLT<Matrix<float>, Eigen::Upper>(h).matrixU();
  return out;
}

double error_of(const RoundingProblem& problem, const std::vector<float>& rounded) {
  const Matrix<float> d = ConstMap<float>(rounded.data(), problem.k, problem.n) -
                          ConstMap<float>(problem.target.data(), problem.k, problem.n);
  const Matrix<float> hd = ConstMap<float>(problem.hessian.data(), problem.k, problem.k) * d;
  return d.cwiseProduct(hd).cast<double>().sum();
}

}  // namespace narrow::quant
