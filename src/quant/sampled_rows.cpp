#include "quant/sampled_rows.h"

#include <algorithm>
#include <cstring>

#include "runtime/session.h"
#include "runtime/states.h"

namespace narrow::quant {
namespace {

/// Keeps every stride-th row of what it is asked for, so many of each batch.
class RowKeeper final : public runtime::Observer {
 public:
  RowKeeper(const std::set<std::string>& values, int64_t per_batch)
      : values_(values), per_batch_(per_batch) {}

  void before(const ir::Node&, std::span<const runtime::ValueView> inputs) override { look(inputs); }
  void after(const ir::Node&, std::span<const runtime::ValueView> outputs) override { look(outputs); }
  void next_batch() { seen_.clear(); }

  std::map<std::string, Tensor> rows() const {
    std::map<std::string, Tensor> result;
    for (const auto& [name, kept] : kept_) {
      const auto width = widths_.at(name);
      result[name] = Tensor::of(Shape{static_cast<int64_t>(kept.size()) / width, width}, kept);
    }
    return result;
  }

 private:
  void look(std::span<const runtime::ValueView> views) {
    for (const runtime::ValueView& view : views) {
      const std::string& name = view.value->origin.empty() ? view.value->name : view.value->origin;
      if (view.value->type.dtype != DType::f32 || view.shape.empty() || !values_.contains(name) ||
          !seen_.insert(name).second)
        continue;
      keep(name, view.to_reference());
    }
  }

  void keep(const std::string& name, const Tensor& tensor) {
    const int64_t width = tensor.dim(tensor.rank() - 1), rows = width == 0 ? 0 : tensor.elements() / width;
    const int64_t& known = widths_.try_emplace(name, width).first->second;
    if (known != width) return;
    const auto x = tensor.data<float>();
    std::vector<float>& kept = kept_[name];
    const int64_t wanted = std::min(rows, per_batch_);
    for (int64_t i = 0; i < wanted; ++i) {
      const float* row = x.data() + i * rows / wanted * width;
      kept.insert(kept.end(), row, row + width);
    }
  }

  const std::set<std::string>& values_;
  int64_t per_batch_;
  std::set<std::string> seen_;  // in this batch
  std::map<std::string, int64_t> widths_;
  std::map<std::string, std::vector<float>> kept_;
};

}  // namespace

Result<std::map<std::string, Tensor>> sample_rows(const ir::Graph& graph, const std::set<std::string>& values,
                                                  const data::Dataset& dataset,
                                                  std::shared_ptr<ThreadPool> pool,
                                                  const RowOptions& options) {
  runtime::SessionOptions session_options;
  session_options.observe_all = true;
  NARROW_TRY(runtime::Session session, runtime::Session::create(graph, pool, session_options));
  const int64_t batch = dataset.batch_of(std::min(options.batch, dataset.size())),
                batches = std::max<int64_t>(1, std::min(options.samples, dataset.size()) / batch),
                available = std::max<int64_t>(1, dataset.size() / batch);
  RowKeeper keeper(values, std::max<int64_t>(1, options.rows / batches));
  const bool sequence = !dataset.info().states.empty();
  NARROW_TRY(runtime::CarriedStates states,
             runtime::CarriedStates::create(dataset.info().states, ir::interface_of(graph)));
  for (int64_t b = 0; b < batches; ++b) {
    const int64_t first = sequence ? b * batch : b * available / batches * batch;
    NARROW_TRY(const data::Batch sample, dataset.read(first, std::min(batch, dataset.size() - first), *pool));
    keeper.next_batch();
    NARROW_TRY(const TensorMap outputs, session.run(states.with(sample.inputs), &keeper));
    states.take(outputs);
  }
  return keeper.rows();
}

}  // namespace narrow::quant
