#include "quant/variance_fit.h"

namespace narrow::quant {
namespace {

/// One result channel: its weights in both models, and sums over the rows.
class Channel {
 public:
  Channel(const Moments& moments, const std::vector<float>& original, const std::vector<float>& rounded,
          int64_t n)
      : m_(moments), original_(original), rounded_(rounded), n_(n) {}

  /// sum z z, and sum z y.
  void sums(bool centred, double& square, double& product) const {
    double mean_y = 0, mean_z = 0;
    for (int64_t i = 0; i < m_.k; ++i) {
      const auto row = static_cast<size_t>(i * m_.k);
      double h = 0, c = 0;
      for (int64_t j = 0; j < m_.k; ++j) {
        h += m_.quantized[row + static_cast<size_t>(j)] * at(rounded_, j);
        c += m_.cross[row + static_cast<size_t>(j)] * at(original_, j);
      }
      if (!m_.residual.empty()) c += m_.residual[static_cast<size_t>(i * m_.n + n_)];
      square += at(rounded_, i) * h;
      product += at(rounded_, i) * c;
      mean_z += at(rounded_, i) * m_.mean_quantized[static_cast<size_t>(i)];
      mean_y += at(original_, i) * m_.mean[static_cast<size_t>(i)];
    }
    if (!centred) return;
    if (!m_.mean_residual.empty()) mean_y += m_.mean_residual[static_cast<size_t>(n_)];
    square -= static_cast<double>(m_.rows) * mean_z * mean_z;
    product -= static_cast<double>(m_.rows) * mean_z * mean_y;
  }

 private:
  double at(const std::vector<float>& weights, int64_t k) const {
    return static_cast<double>(weights[static_cast<size_t>(k * m_.n + n_)]);
  }

  const Moments& m_;
  const std::vector<float>&original_, &rounded_;
  int64_t n_;
};

}  // namespace

std::vector<float> variance_factors(const Moments& moments, const std::vector<float>& original,
                                    const std::vector<float>& rounded, bool centred) {
  std::vector<float> factors(static_cast<size_t>(moments.n), 1);
  for (int64_t n = 0; n < moments.n; ++n) {
    double square = 0, product = 0;
    Channel(moments, original, rounded, n).sums(centred, square, product);
    const double factor = square > 0 ? product / square : 1;
    if (factor > 0.5 && factor < 2) factors[static_cast<size_t>(n)] = static_cast<float>(factor);
  }
  return factors;
}

void scale_columns(std::vector<float>& values, const std::vector<float>& factors) {
  for (size_t i = 0; i < values.size(); ++i) values[i] *= factors[i % factors.size()];
}

}  // namespace narrow::quant
