#include "quant/reconstruction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ir/schema.h"
#include "kernels/gradient/gradient.h"

namespace narrow::quant {
namespace {

Error misfit(std::string subject, std::string expected, std::string got) {
  return {.code = Code::invalid_argument,
          .subject = std::move(subject),
          .expected = std::move(expected),
          .got = std::move(got),
          .hint = {}};
}

/// The shape of `run` samples of a tensor that holds `samples`.
Shape shape_of_run(const Tensor& tensor, int64_t samples, int64_t run) {
  Shape shape = tensor.shape();
  shape[0] = shape[0] / samples * run;
  return shape;
}

Status check_tensor(const std::string& name, const Tensor& tensor, const ReconstructionTask& task) {
  if (tensor.rank() == 0 || tensor.dim(0) == 0 || tensor.dim(0) % task.samples != 0)
    return misfit("'" + name + "'", fmt::format("{} samples along axis 0", task.samples),
                  to_string(tensor.shape()));
  return {};
}

Status check_task(const ReconstructionTask& task) {
  if (task.samples < 1) return misfit("samples", "at least one", std::to_string(task.samples));
  for (const auto* map : {&task.inputs, &task.outputs, &task.importance})
    for (const auto& [name, tensor] : *map) NARROW_DO(check_tensor(name, tensor, task));
  for (const ir::Value* input : task.block->inputs())
    if (!task.inputs.contains(input->name) && !task.shared_inputs.contains(input->name))
      return misfit("input '" + input->name + "' of the block", "its samples", "nothing");
  for (const ir::GraphOutput& output : task.block->outputs())
    if (!task.outputs.contains(output.name))
      return misfit("output '" + output.name + "' of the block", "what it should be", "nothing");
  for (const auto& [name, tensor] : task.importance)
    if (!task.outputs.contains(name) || task.outputs.at(name).shape() != tensor.shape())
      return misfit("importance of '" + name + "'", "an output's shape", to_string(tensor.shape()));
  return {};
}

/// Bytes of one sample.
size_t slice_bytes(const Tensor& tensor, int64_t samples) {
  return static_cast<size_t>(tensor.bytes() / samples);
}

}  // namespace

Result<ir::Graph> with_stored_values(const ir::Graph& block, const std::vector<StoredValue>& stored) {
  ir::Graph graph = block.clone();
  for (const StoredValue& s : stored) {
    ir::Value* value = graph.find_value(s.value);
    if (value == nullptr || value->is_constant())
      return misfit("'" + s.value + "'", "a value of the block", "none of that name");
    ir::Value* scale = graph.add_constant(s.value + "_scale", Tensor::scalar(s.scale));
    ir::Value* zero =
        graph.add_constant(s.value + "_zero_point", Tensor::scalar(static_cast<uint8_t>(s.zero_point)));
    ir::Node* quantize = graph.add_node(ir::Op::QuantizeLinear, {scale, scale, zero}, {s.value + "_codes"});
    ir::Node* back =
        graph.add_node(ir::Op::DequantizeLinear, {quantize->output(), scale, zero}, {s.value + "_rounded"});
    graph.replace_all_uses(value, back->output());
    graph.set_input(quantize, 0, value);
  }
  NARROW_DO(graph.sort());
  NARROW_DO(ir::infer_types(graph));
  return graph;
}

Result<gradient::Network> Reconstruction::bind(const ReconstructionTask& task, const ir::Graph& graph,
                                               int64_t run, std::shared_ptr<ThreadPool> pool, Isa isa) {
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : task.inputs) shapes[name] = shape_of_run(tensor, task.samples, run);
  for (const auto& [name, tensor] : task.shared_inputs) shapes[name] = tensor.shape();
  gradient::Wanted wanted;
  for (const LayerStart& layer : task.layers) wanted.weights.push_back(layer.node);
  NARROW_TRY(gradient::Network network,
             gradient::Network::create(graph, shapes, wanted, std::move(pool), isa));
  for (const auto& [name, tensor] : task.outputs) {
    const Shape expected = shape_of_run(tensor, task.samples, run), &got = network.output_shape(name);
    if (got != expected)
      return misfit("output '" + name + "' of the block", to_string(expected), to_string(got));
  }
  return network;
}

Result<Reconstruction> Reconstruction::create(const ReconstructionTask& task, int64_t batch,
                                              std::shared_ptr<ThreadPool> pool, Isa isa) {
  NARROW_DO(check_task(task));
  NARROW_TRY(const ir::Graph graph, with_stored_values(*task.block, task.stored));
  int64_t run = std::clamp<int64_t>(batch, 1, task.samples);
  auto network = bind(task, graph, run, pool, isa);
  // A batch that is fixed in the graph: its inputs' or in the middle of it.
  if (!network.ok() && network.error().code != Code::unsupported && run > 1)
    network = bind(task, graph, run = 1, pool, isa);
  if (!network.ok()) return network.error();
  return Reconstruction(task, std::move(network).value(), run, std::move(pool), isa);
}

Reconstruction::Reconstruction(const ReconstructionTask& task, gradient::Network network, int64_t run,
                               std::shared_ptr<ThreadPool> pool, Isa isa)
    : task_(&task),
      network_(std::move(network)),
      run_(run),
      pool_(std::move(pool)),
      isa_(isa),
      inputs_(task.shared_inputs) {
  for (const auto& [name, tensor] : task.inputs)
    inputs_[name] = Tensor::allocate(tensor.dtype(), shape_of_run(tensor, task.samples, run));
  for (const auto& [name, tensor] : task.outputs)
    seeds_[name] = Tensor::allocate(DType::f32, shape_of_run(tensor, task.samples, run));
}

int64_t Reconstruction::elements_per_sample() const {
  int64_t elements = 0;
  for (const auto& [name, tensor] : task_->outputs) elements += tensor.elements() / task_->samples;
  return elements;
}

/// A run that is not full repeats its first sample.
void Reconstruction::gather(std::span<const int64_t> samples) {
  for (const auto& [name, tensor] : task_->inputs) {
    const size_t bytes = slice_bytes(tensor, task_->samples);
    const auto* from = static_cast<const std::byte*>(tensor.raw());
    auto* to = static_cast<std::byte*>(inputs_.at(name).mutable_raw());
    pool_->run(run_, [&](int64_t i) {
      const auto at = static_cast<size_t>(i);
      const int64_t sample = samples[at < samples.size() ? at : 0];
      std::memcpy(to + at * bytes, from + static_cast<size_t>(sample) * bytes, bytes);
    });
  }
}

Status Reconstruction::forward(std::span<const int64_t> samples) {
  gather(samples);
  return network_.forward(inputs_);
}

double Reconstruction::errors(std::span<const int64_t> samples, float factor) {
  double total = 0;
  for (const auto& [name, target] : task_->outputs) {
    const auto elements = static_cast<size_t>(target.elements() / task_->samples);
    const float* got = network_.output(name).data<float>().data();
    const auto importance = task_->importance.find(name);
    float* seeds = factor == 0 ? nullptr : seeds_.at(name).mutable_data<float>().data();
    std::vector<double> sums(samples.size());
    pool_->run(run_, [&, elements = elements](int64_t run) {
      const auto i = static_cast<size_t>(run);
      if (i >= samples.size()) {
        if (seeds != nullptr) std::fill_n(seeds + i * elements, elements, 0.0F);
        return;
      }
      const size_t sample = static_cast<size_t>(samples[i]) * elements;
      sums[i] = kernels::squared_error(
          {.a = got + i * elements,
           .b = target.data<float>().data() + sample,
           .weight = importance == task_->importance.end() ? nullptr
                                                           : importance->second.data<float>().data() + sample,
           .d = seeds == nullptr ? nullptr : seeds + i * elements,
           .n = static_cast<int64_t>(elements),
           .factor = factor},
          isa_);
    });
    for (const double sum : sums) total += sum;
  }
  return total;
}

Result<double> Reconstruction::loss(std::span<const int64_t> samples) {
  double total = 0;
  for (size_t first = 0; first < samples.size(); first += static_cast<size_t>(run_)) {
    const auto part = samples.subspan(first, std::min(samples.size() - first, static_cast<size_t>(run_)));
    NARROW_DO(forward(part));
    total += errors(part, 0);
  }
  return total;
}

Result<double> Reconstruction::loss_and_gradients(std::span<const int64_t> samples, float factor,
                                                  std::span<const std::span<float>> gradients) {
  double total = 0;
  for (size_t first = 0; first < samples.size(); first += static_cast<size_t>(run_)) {
    const auto part = samples.subspan(first, std::min(samples.size() - first, static_cast<size_t>(run_)));
    NARROW_DO(forward(part));
    total += errors(part, factor);
    NARROW_DO(network_.backward(seeds_));
    for (size_t l = 0; l < task_->layers.size(); ++l) {
      const auto more = network_.weight_gradient(task_->layers[l].node);
      for (size_t i = 0; i < more.size(); ++i) gradients[l][i] = first == 0 ? more[i] : gradients[l][i] + more[i];
    }
  }
  return total;
}

}  // namespace narrow::quant
