#include "search/mix.h"

#include <Cbc_C_Interface.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <tuple>

namespace narrow::search {
namespace {

struct FreeProgram {
  void operator()(Cbc_Model* program) const { Cbc_deleteModel(program); }
};

enum class Goal { price, noise };

/// A cast that is made at most once: of a layer's value, out of or into a carrier.
enum class Way { leave, enter };
using Cast = std::tuple<size_t, size_t, Way, Carrier>;

double price_of(const MixProblem& problem, const FormatCost& choice) {
  return problem.per_ms * choice.ms + problem.per_byte * choice.bytes;
}

/// Columns: one binary per layer and choice, then for every value between layers and carrier but FP32 two in
/// [0, 1]: does the value leave it, does it enter it?
class Program {
 public:
  Program(const MixProblem& problem, Goal goal) : problem_(problem), goal_(goal), program_(Cbc_newModel()) {
    Cbc_setLogLevel(program_.get(), 0);
    double loudest = 0;
    for (const MixLayer& layer : problem.layers)
      for (const FormatCost& choice : layer.choices) loudest = std::max(loudest, choice.noise);
    for (const MixLayer& layer : problem.layers) {
      first_.push_back(columns_);
      for (const FormatCost& choice : layer.choices)
        add_column(goal == Goal::price ? price_of(problem, choice) : choice.noise / std::max(loudest, 1e-300),
                   true);
    }
    for (size_t l = 0; l < problem.layers.size(); ++l) choose_one(l);
    for (const MixEdge& edge : problem.edges) add_casts(edge);
  }

  /// The other quantity stays below `bound`.
  Result<std::vector<size_t>> solve_below(double bound) {
    bound_other(bound);
    Cbc_setParameter(program_.get(), "ratioGap", "1e-4");
    Cbc_setParameter(program_.get(), "threads", "0");  // one: the same answer every time
    Cbc_solve(program_.get());
    if (Cbc_isProvenOptimal(program_.get()) == 0)
      return Error{.code = Code::invalid_argument,
                   .subject = "mixed precision",
                   .expected = goal_ == Goal::price ? "a noise bound that some choice of formats stays below"
                                                    : "a price that some choice of formats stays below",
                   .got = fmt::format("{:.3g}", bound)};
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
  void add_column(double cost, bool binary) {
    Cbc_addCol(program_.get(), "", 0, 1, cost, binary ? 1 : 0, 0, nullptr, nullptr);
    ++columns_;
  }

  void add_row(const std::vector<int>& at, const std::vector<double>& factors, char sense, double bound) {
    Cbc_addRow(program_.get(), "", static_cast<int>(at.size()), at.data(), factors.data(), sense, bound);
  }

  int column(size_t layer, size_t choice) const { return first_[layer] + static_cast<int>(choice); }

  void choose_one(size_t layer) {
    std::vector<int> at;
    for (size_t c = 0; c < problem_.layers[layer].choices.size(); ++c) at.push_back(column(layer, c));
    add_row(at, std::vector<double>(at.size(), 1), 'E', 1);
  }

  /// Leaves a carrier: sum of x(from, f) - sum of x(to, f), over its formats f; enters it: the other way.
  void add_casts(const MixEdge& edge) {
    for (size_t c = 1; c < kCarriers; ++c) {
      const auto carrier = static_cast<Carrier>(c);
      add_cast({edge.from, edge.value, Way::leave, carrier}, edge.from, edge.to,
               problem_.per_ms * edge.ms[c].leave);
      add_cast({edge.from, edge.value, Way::enter, carrier}, edge.to, edge.from,
               problem_.per_ms * edge.ms[c].enter);
    }
  }

  /// A column that is 1 where `here` has the cast's carrier and `there` has not, for any edge of its value.
  void add_cast(const Cast& cast, size_t here, size_t there, double cost) {
    const Carrier carrier = std::get<Carrier>(cast);
    std::vector<int> at;
    std::vector<double> row;
    const auto add = [&](size_t layer, double factor) {
      const auto& choices = problem_.layers[layer].choices;
      for (size_t i = 0; i < choices.size(); ++i)
        if (carrier_of(choices[i].format) == carrier) at.push_back(column(layer, i)), row.push_back(factor);
    };
    add(here, 1);
    if (cost == 0 || at.empty()) return;
    add(there, -1);
    const auto [known, fresh] = cast_columns_.emplace(cast, columns_);
    at.push_back(known->second), row.push_back(-1);
    if (fresh) {
      casts_.emplace_back(columns_, cost);
      add_column(goal_ == Goal::price ? cost : 0, false);
    }
    add_row(at, row, 'L', 0);
  }

  /// In units of the bound: powers as small as 1e-9 would drown in the solver's tolerances.
  void bound_other(double bound) {
    std::vector<int> at;
    std::vector<double> factors;
    for (size_t l = 0; l < problem_.layers.size(); ++l)
      for (size_t c = 0; c < problem_.layers[l].choices.size(); ++c) {
        const FormatCost& choice = problem_.layers[l].choices[c];
        at.push_back(column(l, c));
        factors.push_back((goal_ == Goal::price ? choice.noise : price_of(problem_, choice)) / bound);
      }
    if (goal_ == Goal::noise)
      for (const auto& [cast, cost] : casts_) at.push_back(cast), factors.push_back(cost / bound);
    add_row(at, factors, 'L', 1);
  }

  const MixProblem& problem_;
  Goal goal_;
  std::vector<int> first_;  // column of each layer's first choice
  std::map<Cast, int> cast_columns_;
  std::vector<std::pair<int, double>> casts_;  // columns and prices
  int columns_ = 0;
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

Carrier carrier_of(quant::NodeFormat format) {
  switch (format) {
    case quant::NodeFormat::fp16:
      return Carrier::f16;
    case quant::NodeFormat::bf16:
      return Carrier::bf16;
    case quant::NodeFormat::int8:
    case quant::NodeFormat::w4a8:
      return Carrier::u8;
    default:
      return Carrier::f32;
  }
}

Mix price(const MixProblem& problem, std::vector<size_t> choice) {
  Mix mix{.choice = std::move(choice)};
  const auto chosen = [&](size_t layer) -> const FormatCost& {
    return problem.layers[layer].choices[mix.choice[layer]];
  };
  for (size_t l = 0; l < problem.layers.size(); ++l) {
    const FormatCost& cost = chosen(l);
    mix.ms += cost.ms, mix.noise += cost.noise, mix.bytes += cost.bytes;
  }
  std::set<Cast> casts;
  for (const MixEdge& edge : problem.edges) {
    const Carrier from = carrier_of(chosen(edge.from).format), to = carrier_of(chosen(edge.to).format);
    if (from == to) continue;
    const double leave = edge.ms[static_cast<size_t>(from)].leave,
                 enter = edge.ms[static_cast<size_t>(to)].enter;
    if (leave > 0 && casts.insert({edge.from, edge.value, Way::leave, from}).second) mix.ms += leave;
    if (enter > 0 && casts.insert({edge.from, edge.value, Way::enter, to}).second) mix.ms += enter;
  }
  mix.price = problem.per_ms * mix.ms + problem.per_byte * mix.bytes;
  return mix;
}

Mix uniform_mix(const MixProblem& problem, quant::NodeFormat format) {
  std::vector<size_t> choice;
  for (const MixLayer& layer : problem.layers) {
    const auto place = [&](quant::NodeFormat wanted) {
      return static_cast<size_t>(std::find_if(layer.choices.begin(), layer.choices.end(),
                                              [&](const FormatCost& c) { return c.format == wanted; }) -
                                 layer.choices.begin());
    };
    size_t at = place(format);
    if (at == layer.choices.size() && format == quant::NodeFormat::w4a8) at = place(quant::NodeFormat::int8);
    if (at == layer.choices.size()) at = place(quant::NodeFormat::fp32);
    choice.push_back(at == layer.choices.size() ? 0 : at);
  }
  return price(problem, std::move(choice));
}

Result<Mix> best_mix(const MixProblem& problem, double noise_bound) {
  NARROW_TRY(std::vector<size_t> choice, Program(problem, Goal::price).solve_below(noise_bound));
  return price(problem, std::move(choice));
}

Result<Mix> quietest_mix(const MixProblem& problem, double price_bound) {
  NARROW_TRY(std::vector<size_t> choice, Program(problem, Goal::noise).solve_below(price_bound));
  return price(problem, std::move(choice));
}

Result<std::vector<Mix>> pareto_front(const MixProblem& problem) {
  double most = 0;
  for (const MixLayer& layer : problem.layers)
    for (const FormatCost& choice : layer.choices) most += choice.noise;
  std::vector<Mix> front;
  const double least = least_noise(problem);
  if (!(most > 0)) most = 1;  // nothing disturbs: the cheapest of all is the whole front
  for (double bound = most; bound >= least && bound > 0;) {
    NARROW_TRY(Mix mix, best_mix(problem, bound));
    bound = std::min(bound, mix.noise) / 2;
    if (front.empty() || front.back().choice != mix.choice) front.push_back(std::move(mix));
  }
  return front;
}

}  // namespace narrow::search
