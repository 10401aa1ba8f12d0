#include "passes/batchnorm.h"

#include <cmath>

namespace narrow::passes {

std::optional<Affine> affine_of_batchnorm(const Graph& graph, const Node* bn) {
  if (bn->int_attr("training_mode", 0) != 0) return {};
  for (size_t i = 1; i < bn->outputs().size(); ++i)
    if (graph.readers(bn->outputs()[i]) > 0) return {};
  std::vector<float> parameters[4];  // gamma, beta, mean, var
  for (int i = 0; i < 4; ++i) {
    if (!is_float_constant(bn->input(i + 1))) return {};
    parameters[i] = to_floats(bn->input(i + 1)->constant());
    if (parameters[i].size() != parameters[0].size()) return {};
  }
  const double epsilon = static_cast<double>(bn->float_attr("epsilon", 1e-5F));
  Affine affine;
  for (size_t c = 0; c < parameters[0].size(); ++c) {
    const double g =
        static_cast<double>(parameters[0][c]) / std::sqrt(static_cast<double>(parameters[3][c]) + epsilon);
    affine.scale.push_back(g);
    affine.shift.push_back(static_cast<double>(parameters[1][c]) - static_cast<double>(parameters[2][c]) * g);
  }
  return affine;
}

}  // namespace narrow::passes
