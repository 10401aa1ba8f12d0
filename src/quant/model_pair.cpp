#include "quant/model_pair.h"

#include <algorithm>
#include <cstring>

#include "ir/extract.h"
#include "ir/schema.h"
#include "passes/pass.h"
#include "runtime/reference/reference.h"
#include "runtime/session.h"

namespace narrow::quant {
namespace {

Error not_possible(std::string subject, std::string expected, std::string got) {
  return {.code = Code::unsupported,
          .subject = std::move(subject),
          .expected = std::move(expected),
          .got = std::move(got)};
}

using PartOf = std::unordered_map<const ir::Node*, size_t>;

bool read_later(const ir::Value* value, size_t part, const PartOf& part_of) {
  return std::any_of(value->uses().begin(), value->uses().end(), [&](const ir::Use& use) {
    const auto reader = part_of.find(use.node);
    return reader != part_of.end() && reader->second > part;
  });
}

}  // namespace

int64_t bytes_of_value(const ir::Value* value) {
  return elements_of(value->type.shape()) * std::max<int64_t>(1, bytes_of(value->type.dtype));
}

Tensor joined(const std::vector<Tensor>& batches) {
  Shape shape = batches.front().shape();
  shape[0] = 0;
  for (const Tensor& batch : batches) shape[0] += batch.dim(0);
  Tensor all = Tensor::allocate(batches.front().dtype(), shape);
  auto* to = static_cast<std::byte*>(all.mutable_raw());
  for (const Tensor& batch : batches) {
    std::memcpy(to, batch.raw(), static_cast<size_t>(batch.bytes()));
    to += batch.bytes();
  }
  return all;
}

Result<std::vector<GraphPart>> parts_of(const ir::Graph& graph, size_t count, const PartOf& part_of,
                                        const std::unordered_set<const ir::Value*>& wanted) {
  std::vector<GraphPart> parts(count);
  for (const ir::Node* node : graph.nodes()) {
    const auto at = part_of.find(node);
    if (at == part_of.end() || at->second >= count) continue;
    GraphPart& part = parts[at->second];
    for (const ir::Value* input : node->inputs()) {
      if (input == nullptr || input->is_constant()) continue;
      const bool inside = input->producer() != nullptr && part_of.at(input->producer()) == at->second;
      if (!inside && std::find(part.inputs.begin(), part.inputs.end(), input) == part.inputs.end())
        part.inputs.push_back(input);
    }
    for (const ir::Value* output : node->outputs()) {
      if (!read_later(output, at->second, part_of) && !wanted.contains(output)) continue;
      if (!output->type.is_static())
        return not_possible("value '" + output->name + "'", "a shape that follows from the inputs' shapes",
                            to_string(output->type));
      part.outputs.push_back(output);
    }
  }
  return parts;
}

Result<ModelPair> ModelPair::create(const ir::Graph& graph, const FakeQuantize& rounding,
                                    const data::Dataset& dataset, std::shared_ptr<ThreadPool> pool,
                                    const WalkOptions& options) {
  if (!dataset.info().states.empty())
    return not_possible("calibration data", "samples that stand alone", "states carried from run to run");
  ModelPair pair(rounding, std::move(pool));
  pair.batch_ = dataset.batch_of(std::min(options.batch, dataset.size()));
  NARROW_TRY(const data::Batch first, dataset.read(0, pair.batch_, *pair.pool_));
  for (const auto& [name, tensor] : first.inputs) pair.shapes_[name] = tensor.shape();
  NARROW_TRY(pair.graph_, pair.bound(graph));
  NARROW_TRY(pair.student_, pair.bound(options.start != nullptr ? *options.start : graph));
  return pair;
}

Result<ir::Graph> ModelPair::bound(const ir::Graph& graph) const {
  ir::Graph copy = graph.clone();
  NARROW_DO(ir::bind_shapes(copy, shapes_));
  const passes::Pass steps[] = {*passes::find_pass("fold_constants"), *passes::find_pass("resolve_auto_pad")};
  NARROW_DO(passes::run_passes(copy, steps, {.evaluate = runtime::reference::evaluate}));
  NARROW_DO(copy.sort());
  return copy;
}

Status ModelPair::read(const data::Dataset& dataset, const WalkOptions& options, int64_t bytes_of_batch) {
  const int64_t available = std::max<int64_t>(1, dataset.size() / batch_),
                fit = std::max<int64_t>(1, options.memory / (2 * bytes_of_batch)),
                wanted = std::min({available, fit, std::max<int64_t>(1, options.samples / batch_)});
  for (int64_t b = 0; b < wanted; ++b) {
    NARROW_TRY(data::Batch batch, dataset.read(b * available / wanted * batch_, batch_, *pool_));
    const bool alike = std::all_of(batch.inputs.begin(), batch.inputs.end(), [&](const auto& input) {
      return shapes_.at(input.first) == input.second.shape();
    });
    if (!alike) continue;
    samples_ += batch.count;
    original_.push_back(batch.inputs);
  }
  quantized_ = original_;
  return {};
}

Status ModelPair::run(const GraphPart& part, const ir::Graph& graph, const FakeQuantize* rounding,
                      std::vector<TensorMap>& values) {
  if (part.outputs.empty()) return {};
  const auto in = [&](const std::vector<const ir::Value*>& list) {
    std::vector<const ir::Value*> mapped;
    for (const ir::Value* value : list) mapped.push_back(graph.find_value(value->name));
    return mapped;
  };
  ir::Graph extracted = ir::extract(graph, in(part.inputs), in(part.outputs));
  if (rounding != nullptr) {
    rounding->insert(extracted);
    NARROW_DO(extracted.sort());
    NARROW_DO(ir::infer_types(extracted));
  }
  NARROW_TRY(runtime::Session session, runtime::Session::create(extracted, pool_));
  for (TensorMap& batch : values) {
    TensorMap inputs;
    for (const ir::Value* value : part.inputs) inputs[value->name] = batch.at(value->name);
    NARROW_TRY(TensorMap outputs, session.run(inputs));
    for (auto& [name, tensor] : outputs) batch[name] = std::move(tensor);
  }
  return {};
}

void ModelPair::keep(const std::unordered_set<std::string>& names) {
  for (std::vector<TensorMap>* values : {&original_, &quantized_})
    for (TensorMap& batch : *values)
      std::erase_if(batch, [&](const auto& entry) { return !names.contains(entry.first); });
}

const Tensor* ModelPair::find(const std::vector<TensorMap>& values, const ir::Value* value, int64_t batch) {
  const TensorMap& known = values[static_cast<size_t>(batch)];
  const auto it = known.find(value->name);
  return it == known.end() ? nullptr : &it->second;
}

void ModelPair::set_parameters(const std::string& key, Tensor weights, std::optional<Tensor> bias) {
  ir::Node* node = student_.find_value(key)->producer();
  student_.set_input(node, 1, student_.add_constant(node->input(1)->name + "_rounded", std::move(weights)));
  if (bias) student_.set_input(node, 2, student_.add_constant(key + "_rounded_bias", std::move(*bias)));
}

}  // namespace narrow::quant
