#include "runtime/slices.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "runtime/bands.h"

namespace narrow::runtime {
namespace {

int64_t bytes_of(const ir::Value* value) {
  return elements_of(value->type.shape()) * narrow::bytes_of(value->type.dtype);
}

bool is_activation(const ir::Value* value) { return value != nullptr && !value->is_constant(); }

/// Of a node's activations; 0 when one has none at its first of four axes.
int64_t batch_of(const ir::Node& node) {
  int64_t batch = -1;
  const auto join = [&](const ir::Value* value) {
    const int64_t here = value->type.rank() == 4 ? value->type.dims[0].value : 0;
    batch = batch < 0 || batch == here ? here : 0;
  };
  for (const ir::Value* input : node.inputs())
    if (is_activation(input)) join(input);
  for (const ir::Value* output : node.outputs()) join(output);
  return std::max<int64_t>(batch, 0);
}

/// No constant that would have to be sliced too.
bool has_shared_constants(const ir::Node& node, int64_t batch) {
  return std::none_of(node.inputs().begin(), node.inputs().end(), [&](const ir::Value* input) {
    return input != nullptr && input->is_constant() && input->type.rank() == 4 &&
           input->type.dims[0].value == batch;
  });
}

/// Whether every image of the first axis is treated alike and apart from others.
bool keeps_images_apart(const ir::Node& node, int64_t batch) {
  using ir::Op;
  if (is_elementwise(node.op())) return has_shared_constants(node, batch);
  switch (node.op()) {
    case Op::FusedConv:
      return true;
    case Op::MaxPool:
    case Op::AveragePool:
    case Op::GlobalAveragePool:
    case Op::GlobalMaxPool:
    case Op::LRN:
    case Op::InstanceNormalization:
    case Op::GroupNormalization:
      return node.outputs().size() == 1;
    case Op::QuantizeLinear:
    case Op::QuantizeImage:
    case Op::DequantizeLinear:
      return true;
    case Op::Concat:
      return node.int_attr("axis", 0) % 4 != 0;
    case Op::Transpose: {
      const auto perm = node.ints_attr("perm");
      return perm.size() == 4 && perm[0] == 0;
    }
    default:
      return false;
  }
}

/// Bytes of one image and weights that a step touches.
struct StepTraffic {
  bool can_slice = false, can_band = false;
  int64_t rows = 0;   // of the output
  int64_t row = 0;    // one row of all that is read and written
  int64_t image = 0;  // read and written
  int64_t alive = 0;  // of values that are needed now or later, this step's own included
  int64_t after = 0;  // of those that later steps read
  int64_t weights = 0;
};

class Planner {
 public:
  Planner(const ir::Graph& graph, const std::vector<ir::Node*>& order, const SliceOptions& options,
          int threads)
      : graph_(graph), order_(order), options_(options), threads_(threads) {
    for (const ir::Node* node : order_) batch_ = std::max(batch_, batch_of(*node));
  }

  std::vector<Section> plan() {
    if (options_.cache_bytes <= 0 || batch_ < 1) return whole();
    measure();
    int64_t rows = 0;
    for (const StepTraffic& step : traffic_) rows = std::max(rows, step.rows);
    for (int64_t images = batch_; images >= 1; --images)
      if (batch_ % images == 0) sizes_.push_back({.images = images});
    for (int64_t bands = 2; bands * kLeastRows <= rows; bands *= 2)
      sizes_.push_back({.images = 1, .bands = bands});
    return sections_of(cheapest());
  }

 private:
  /// Of a slice.
  struct Size {
    int64_t images, bands = 1;
    bool operator==(const Size&) const = default;
  };
  static constexpr int64_t kLeastRows = 2;  // of a band

  std::vector<Section> whole() const { return {{.first = 0, .end = order_.size()}}; }
  bool is_whole(const Size& size) const { return size.images == batch_ && size.bands == 1; }
  bool can_take(const StepTraffic& t, const Size& size) const {
    if (is_whole(size)) return true;
    if (size.bands == 1) return t.can_slice;
    const double caches = static_cast<double>(options_.cache_bytes * threads_);
    return t.can_band && t.rows >= size.bands * kLeastRows &&
           static_cast<double>(t.alive) >= options_.bands_from * caches;
  }

  void measure() {
    traffic_.resize(order_.size());
    std::unordered_map<const ir::Value*, size_t> last;
    for (size_t k = 0; k < order_.size(); ++k)
      for (const ir::Value* input : order_[k]->inputs())
        if (is_activation(input)) last[input] = k;
    for (const ir::GraphOutput& output : graph_.outputs()) last[output.value] = order_.size();
    std::unordered_map<const ir::Value*, int64_t> alive;
    const auto per_image = [&](const ir::Value* value) { return bytes_of(value) / batch_; };
    for (const ir::Value* input : graph_.inputs()) alive[input] = per_image(input);
    for (size_t k = 0; k < order_.size(); ++k) {
      const ir::Node& node = *order_[k];
      StepTraffic& t = traffic_[k];
      t.can_slice = batch_of(node) == batch_ && keeps_images_apart(node, batch_);
      t.can_band = t.can_slice && can_band(node);
      if (t.can_band) {
        t.rows = node.output()->type.dims[1].value;
        for (const std::vector<ir::Value*>* values : {&node.inputs(), &node.outputs()})
          for (const ir::Value* value : *values)
            if (is_activation(value))
              t.row += per_image(value) / std::max<int64_t>(1, value->type.dims[1].value);
      }
      for (const ir::Value* input : node.inputs()) {
        if (input == nullptr) continue;
        (input->is_constant() ? t.weights : t.image) +=
            input->is_constant() ? bytes_of(input) : per_image(input);
      }
      for (const ir::Value* output : node.outputs()) {
        t.image += per_image(output);
        alive[output] = per_image(output);
      }
      for (const auto& [value, bytes] : alive) t.alive += bytes;
      std::erase_if(alive, [&](const auto& entry) {
        const auto read = last.find(entry.first);
        return read == last.end() || read->second <= k;
      });
      for (const auto& [value, bytes] : alive) t.after += bytes;
    }
  }

  /// Bytes from L3 per core for the whole batch, a slice at a time. A band's windows reach a row or two into
  /// what is kept of the band before.
  double cost(const StepTraffic& t, const Size& size) const {
    const int64_t slices = batch_ / size.images * size.bands, kept = size.bands > 1 ? 2 * t.row : 0,
                  alive_at_once = t.alive * size.images / size.bands + kept;
    const double rounds = static_cast<double>(slices), threads = threads_;
    const double alive = static_cast<double>(alive_at_once) / threads;
    const double weights = static_cast<double>(t.weights);
    const bool fits = alive + weights <= options_.fits * static_cast<double>(options_.cache_bytes);
    const double activations = fits ? 0 : static_cast<double>(t.image * batch_) / threads;
    return activations + rounds * (weights + options_.step);
  }

  /// The slices of every step, by dynamic programming over (step, size): where the size changes, what is
  /// alive passes through L3 once more.
  std::vector<Size> cheapest() const {
    constexpr double kNever = std::numeric_limits<double>::infinity();
    const size_t steps = order_.size(), choices = sizes_.size();
    std::vector<std::vector<size_t>> from(steps, std::vector<size_t>(choices, 0));
    std::vector<double> best(choices, 0);
    for (size_t k = 0; k < steps; ++k) {
      const double pass =
          k == 0 ? 0 : options_.pass * static_cast<double>(traffic_[k - 1].after * batch_) / threads_;
      const size_t cheap = static_cast<size_t>(std::min_element(best.begin(), best.end()) - best.begin());
      std::vector<double> next(choices, kNever);
      for (size_t c = 0; c < choices; ++c) {
        if (!can_take(traffic_[k], sizes_[c])) continue;
        const bool stays = best[c] <= best[cheap] + pass;
        from[k][c] = stays ? c : cheap;
        next[c] = (stays ? best[c] : best[cheap] + pass) + cost(traffic_[k], sizes_[c]);
      }
      best = std::move(next);
    }
    std::vector<Size> best_sizes(steps, Size{batch_});
    size_t c = static_cast<size_t>(std::min_element(best.begin(), best.end()) - best.begin());
    for (size_t k = steps; k-- > 0; c = from[k][c]) best_sizes[k] = sizes_[c];
    return best_sizes;
  }

  std::vector<Section> sections_of(const std::vector<Size>& sizes) const {
    std::vector<Section> sections;
    for (size_t k = 0; k < sizes.size(); ++k) {
      const auto& [images, bands] = sizes[k];
      if (k == 0 || sizes[k] != sizes[k - 1])
        sections.push_back(
            {.first = k, .end = k, .count = batch_ / images, .images = images, .bands = bands});
      sections.back().end = k + 1;
    }
    return sections.empty() ? whole() : sections;
  }

  const ir::Graph& graph_;
  const std::vector<ir::Node*>& order_;
  SliceOptions options_;
  int threads_;
  int64_t batch_ = 0;
  std::vector<StepTraffic> traffic_;
  std::vector<Size> sizes_;
};

}  // namespace

bool is_elementwise(ir::Op op) {
  using ir::Op;
  switch (op) {
    case Op::Cast:
    case Op::Relu:
    case Op::LeakyRelu:
    case Op::Elu:
    case Op::Selu:
    case Op::Sigmoid:
    case Op::HardSigmoid:
    case Op::HardSwish:
    case Op::Swish:
    case Op::Mish:
    case Op::Gelu:
    case Op::Tanh:
    case Op::Add:
    case Op::Sub:
    case Op::Mul:
    case Op::Div:
    case Op::Clip:
    case Op::PRelu:
      return true;
    default:
      return false;
  }
}

std::vector<Section> plan_slices(const ir::Graph& graph, const std::vector<ir::Node*>& order,
                                 const SliceOptions& options, int threads) {
  return Planner(graph, order, options, threads).plan();
}

bool has_bands(const std::vector<Section>& sections) {
  return std::any_of(sections.begin(), sections.end(),
                     [](const Section& section) { return section.is_banded(); });
}

ir::Graph slice_graph(const ir::Graph& graph, const std::vector<Section>& sections, int64_t images) {
  ir::Graph sliced = graph.clone();
  const std::vector<ir::Node*> order = sliced.nodes();
  for (const Section& section : sections) {
    if (!section.is_sliced() || section.images != images) continue;
    for (size_t k = section.first; k < section.end; ++k)
      for (const std::vector<ir::Value*>* values : {&order[k]->inputs(), &order[k]->outputs()})
        for (ir::Value* value : *values)
          if (is_activation(value)) value->type.dims[0].value = images;
  }
  return sliced;
}

}  // namespace narrow::runtime
