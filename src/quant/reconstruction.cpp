#include "quant/reconstruction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ir/schema.h"
#include "kernels/gradient/gradient.h"
#include "kernels/layout/transpose.h"

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

/// The same as the network lays it out.
Shape batch_shape(const Tensor& tensor, int64_t samples, int64_t run, bool lies_last) {
  const Shape s = shape_of_run(tensor, samples, run);
  return lies_last ? Shape{s[0], s[2], s[3], s[1]} : s;
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
             gradient::Network::create(graph, shapes, wanted, std::move(pool), isa, {.lying_borders = true}));
  for (const auto& [name, tensor] : task.outputs) {
    const Shape expected = batch_shape(tensor, task.samples, run, network.output_lies_last(name)),
                &got = network.output_shape(name);
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
  const auto allocate = [&](const Tensor& tensor, bool lies_last) {
    return Tensor::allocate(tensor.dtype(), batch_shape(tensor, task.samples, run, lies_last));
  };
  for (const auto& [name, tensor] : task.inputs)
    inputs_[name] = allocate(tensor, network_.input_lies_last(name));
  for (const auto& [name, tensor] : task.outputs) {
    const bool last = network_.output_lies_last(name);
    seeds_[name] = allocate(tensor, last);
    if (!last) continue;
    targets_[name] = allocate(tensor, last);
    if (task.importance.contains(name)) importance_[name] = allocate(tensor, last);
  }
}

int64_t Reconstruction::elements_per_sample() const {
  int64_t elements = 0;
  for (const auto& [name, tensor] : task_->outputs) elements += tensor.elements() / task_->samples;
  return elements;
}

/// A run that is not full repeats its first sample.
void Reconstruction::gather(const Tensor& source, std::span<const int64_t> samples, bool turn,
                            Tensor& batch) {
  const size_t bytes = slice_bytes(source, task_->samples);
  const auto* from = static_cast<const std::byte*>(source.raw());
  auto* to = static_cast<std::byte*>(batch.mutable_raw());
  const auto sample_of = [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    return static_cast<size_t>(samples[at < samples.size() ? at : 0]);
  };
  if (!turn) {
    pool_->run(run_, [&](int64_t i) {
      std::memcpy(to + static_cast<size_t>(i) * bytes, from + sample_of(i) * bytes, bytes);
    });
    return;
  }
  constexpr int64_t kStripe = 512;  // pixels
  const int64_t channels = source.dim(1), pixels = source.dim(2) * source.dim(3),
                images = source.dim(0) / task_->samples, stripes = (pixels + kStripe - 1) / kStripe;
  pool_->run(run_ * images * stripes, [&](int64_t task) {
    const int64_t image = task / stripes, first = task % stripes * kStripe;
    const size_t plane = sample_of(image / images) * bytes +
                         static_cast<size_t>(image % images * channels * pixels) * sizeof(float);
    const kernels::TransposeTile tile{
        reinterpret_cast<const uint8_t*>(from + plane) + static_cast<size_t>(first) * sizeof(float),
        reinterpret_cast<uint8_t*>(to) +
            static_cast<size_t>((image * pixels + first) * channels) * sizeof(float),
        pixels,
        channels,
        channels,
        std::min(kStripe, pixels - first)};
    (isa_ >= Isa::avx512 ? kernels::transpose_avx512 : kernels::transpose_plain)(4, tile);
  });
}

void Reconstruction::gather(std::span<const int64_t> samples) {
  for (const auto& [name, tensor] : task_->inputs)
    gather(tensor, samples, network_.input_lies_last(name), inputs_.at(name));
  for (auto& [name, batch] : targets_) gather(task_->outputs.at(name), samples, true, batch);
  for (auto& [name, batch] : importance_) gather(task_->importance.at(name), samples, true, batch);
}

const float* Reconstruction::slice(const TensorMap& source, const TensorMap& turned, const std::string& name,
                                   std::span<const int64_t> samples, size_t i) const {
  const auto found = source.find(name);
  if (found == source.end()) return nullptr;
  const auto elements = static_cast<size_t>(found->second.elements() / task_->samples);
  const auto batch = turned.find(name);
  if (batch != turned.end()) return batch->second.data<float>().data() + i * elements;
  return found->second.data<float>().data() + static_cast<size_t>(samples[i]) * elements;
}

Status Reconstruction::forward(std::span<const int64_t> samples) {
  gather(samples);
  return network_.forward(inputs_);
}

double Reconstruction::errors(std::span<const int64_t> samples, float factor) {
  double total = 0;
  for (const auto& [name, tensor] : task_->outputs) {
    const auto elements = static_cast<size_t>(tensor.elements() / task_->samples);
    const float* got = network_.output(name).data<float>().data();
    float* seeds = factor == 0 ? nullptr : seeds_.at(name).mutable_data<float>().data();
    std::vector<double> sums(samples.size());
    pool_->run(run_, [&, &name = name, elements = elements](int64_t run) {
      const auto i = static_cast<size_t>(run);
      if (i >= samples.size()) {
        if (seeds != nullptr) std::fill_n(seeds + i * elements, elements, 0.0F);
        return;
      }
      sums[i] = kernels::squared_error({.a = got + i * elements,
                                        .b = target(name, samples, i),
                                        .weight = importance(name, samples, i),
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
      for (size_t i = 0; i < more.size(); ++i)
        gradients[l][i] = first == 0 ? more[i] : gradients[l][i] + more[i];
    }
  }
  return total;
}

}  // namespace narrow::quant
