#include "search/mix.h"

#include <Cbc_C_Interface.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace narrow::search {
namespace {

struct FreeProgram {
  void operator()(Cbc_Model* program) const { Cbc_deleteModel(program); }
};

/// Columns: one binary per layer and choice, then one in [0, 1] per edge: is it cast?
class Program {
 public:
  explicit Program(const MixProblem& problem) : problem_(problem), program_(Cbc_newModel()) {
    Cbc_setLogLevel(program_.get(), 0);
    for (const MixLayer& layer : problem.layers) {
      first_.push_back(columns_);
      for (const FormatCost& choice : layer.choices) add_column(choice.ms, true);
    }
    first_edge_ = columns_;
    for (const MixEdge& edge : problem.edges) add_column(edge.ms, false);
    for (size_t l = 0; l < problem.layers.size(); ++l) choose_one(l);
    for (size_t e = 0; e < problem.edges.size(); ++e) count_casts(e);
  }

  Result<std::vector<size_t>> solve_below(double noise_bound) {
    bound_noise(noise_bound);
    Cbc_setParameter(program_.get(), "ratioGap", "1e-4");
    Cbc_setParameter(program_.get(), "threads", "0");  // one: the same answer every time
    Cbc_solve(program_.get());
    if (Cbc_isProvenOptimal(program_.get()) == 0)
      return Error{.code = Code::invalid_argument,
                   .subject = "mixed precision",
                   .expected = "a noise bound that some choice of formats stays below",
                   .got = fmt::format("{:.3g}", noise_bound)};
    const double* values = Cbc_getColSolution(program_.get());
    std::vector<size_t> choice;
    for (size_t l = 0; l < problem_.layers.size(); ++l) {
      const double* from = values + first_[l];
      choice.push_back(
          static_cast<size_t>(std::max_element(from, from + problem_.layers[l].choices.size()) - from));
    }
    return choice;
  }

 private:
  void add_column(double ms, bool binary) {
    Cbc_addCol(program_.get(), "", 0, 1, ms, binary ? 1 : 0, 0, nullptr, nullptr);
    ++columns_;
  }

  void add_row(std::vector<int> at, std::vector<double> factors, char sense, double bound) {
    Cbc_addRow(program_.get(), "", static_cast<int>(at.size()), at.data(), factors.data(), sense, bound);
  }

  int column(size_t layer, size_t choice) const { return first_[layer] + static_cast<int>(choice); }

  void choose_one(size_t layer) {
    std::vector<int> at;
    for (size_t c = 0; c < problem_.layers[layer].choices.size(); ++c) at.push_back(column(layer, c));
    add_row(at, std::vector<double>(at.size(), 1), 'E', 1);
  }

  /// cast >= x(from, f) - x(to, f) for every format of either.
  void count_casts(size_t e) {
    const MixEdge& edge = problem_.edges[e];
    const auto &from = problem_.layers[edge.from].choices, &to = problem_.layers[edge.to].choices;
    for (size_t c = 0; c < from.size(); ++c) {
      std::vector<int> at = {column(edge.from, c), first_edge_ + static_cast<int>(e)};
      std::vector<double> row = {1, -1};
      for (size_t d = 0; d < to.size(); ++d)
        if (to[d].format == from[c].format) at.push_back(column(edge.to, d)), row.push_back(-1);
      add_row(at, row, 'L', 0);
    }
  }

  /// In units of the bound: powers as small as 1e-9 would drown in the solver's tolerances.
  void bound_noise(double bound) {
    std::vector<int> at;
    std::vector<double> noise;
    for (size_t l = 0; l < problem_.layers.size(); ++l)
      for (size_t c = 0; c < problem_.layers[l].choices.size(); ++c) {
        at.push_back(column(l, c));
        noise.push_back(problem_.layers[l].choices[c].noise / bound);
      }
    add_row(at, noise, 'L', 1);
  }

  const MixProblem& problem_;
  std::vector<int> first_;  // column of each layer's first choice
  int first_edge_ = 0, columns_ = 0;
  std::unique_ptr<Cbc_Model, FreeProgram> program_;
};

double least_noise(const MixProblem& problem) {
  double sum = 0;
  for (const MixLayer& layer : problem.layers)
    sum += std::min_element(layer.choices.begin(), layer.choices.end(), [](const auto& a, const auto& b) {
             return a.noise < b.noise;
           })->noise;
  return sum;
}

}  // namespace

Mix price(const MixProblem& problem, std::vector<size_t> choice) {
  Mix mix{std::move(choice), 0, 0};
  const auto chosen = [&](size_t layer) -> const FormatCost& {
    return problem.layers[layer].choices[mix.choice[layer]];
  };
  for (size_t l = 0; l < problem.layers.size(); ++l) mix.ms += chosen(l).ms, mix.noise += chosen(l).noise;
  for (const MixEdge& edge : problem.edges)
    if (chosen(edge.from).format != chosen(edge.to).format) mix.ms += edge.ms;
  return mix;
}

Result<Mix> fastest_mix(const MixProblem& problem, double noise_bound) {
  NARROW_TRY(std::vector<size_t> choice, Program(problem).solve_below(noise_bound));
  return price(problem, std::move(choice));
}

Result<std::vector<Mix>> pareto_front(const MixProblem& problem) {
  double most = 0;
  for (const MixLayer& layer : problem.layers)
    for (const FormatCost& choice : layer.choices) most += choice.noise;
  std::vector<Mix> front;
  const double least = least_noise(problem);
  for (double bound = most; bound >= least && bound > 0;) {
    NARROW_TRY(Mix mix, fastest_mix(problem, bound));
    bound = std::min(bound, mix.noise) / 2;
    if (front.empty() || front.back().choice != mix.choice) front.push_back(std::move(mix));
  }
  return front;
}

}  // namespace narrow::search
