// What only moves elements: y[i] = x[from[i]], or a constant. The plain backend, run once over numbered
// elements, says from where; the way back sums dy over everywhere an element went.
#include <algorithm>
#include <cstring>
#include <memory>

#include "ir/schema.h"
#include "kernels/layout/copy.h"
#include "quant/gradient/rule.h"
#include "runtime/reference/reference.h"

namespace narrow::quant::gradient {
namespace {

constexpr int64_t kTask = 16 << 10;  // elements

/// Where the elements of one input went: target i of element j is targets[first[j] .. first[j + 1]).
struct Journeys {
  std::vector<int64_t> first;
  std::vector<int64_t> targets;  // numbered through all outputs
  bool single = true;            // no element went to two places: targets[j], -1 for nowhere
};

/// The node's outputs when the elements of its float inputs are 1, 2, 3, ... through all of them, 0 for what
/// comes from elsewhere.
Result<std::vector<Tensor>> numbered_outputs(const ir::Node& node) {
  ir::Graph graph;
  std::vector<ir::Value*> inputs;
  std::vector<std::string> outputs;
  std::vector<Tensor> tensors;
  double number = 0;
  for (const ir::Value* input : node.inputs()) {
    if (input == nullptr) {
      tensors.emplace_back(), inputs.push_back(nullptr);
      continue;
    }
    Tensor values = input->is_constant() ? input->constant() : Tensor();
    if (!input->is_constant() && input->type.dtype == DType::f32) {
      values = Tensor::allocate(DType::f64, input->type.shape());
      for (double& x : values.mutable_data<double>()) x = ++number;
    } else if (values.defined() && values.dtype() == DType::f32 && node.op() != ir::Op::Resize) {
      values = Tensor::zeros(DType::f64, values.shape());  // a fill: from nowhere
    }
    if (!values.defined())
      return no_rule(node, "indices and extents that are constants", "input '" + input->name + "'");
    inputs.push_back(graph.add_constant(input->name, values));
    tensors.push_back(std::move(values));
  }
  for (const ir::Value* output : node.outputs()) outputs.push_back(output->name);
  ir::Node* copy = graph.add_node(node.op(), inputs, outputs, node.attrs, node.name);
  NARROW_DO(ir::infer_types(*copy));
  std::vector<const Tensor*> pointers;
  for (const Tensor& t : tensors) pointers.push_back(t.defined() ? &t : nullptr);
  return runtime::reference::evaluate(*copy, pointers);
}

Journeys journeys_of(const std::vector<double>& sources, double before, int64_t elements) {
  Journeys j;
  j.first.assign(static_cast<size_t>(elements) + 1, 0);
  const auto index = [&](double source) {
    const auto i = static_cast<int64_t>(source - before) - 1;
    return i >= 0 && i < elements ? i : -1;
  };
  for (const double source : sources)
    if (const int64_t i = index(source); i >= 0) ++j.first[static_cast<size_t>(i) + 1];
  j.single = std::all_of(j.first.begin(), j.first.end(), [](int64_t count) { return count <= 1; });
  for (size_t i = 1; i < j.first.size(); ++i) j.first[i] += j.first[i - 1];
  j.targets.assign(j.single ? static_cast<size_t>(elements) : static_cast<size_t>(j.first.back()), -1);
  std::vector<int64_t> next(j.first.begin(), j.first.end() - 1);
  for (size_t t = 0; t < sources.size(); ++t)
    if (const int64_t i = index(sources[t]); i >= 0)
      j.targets[static_cast<size_t>(j.single ? i : next[static_cast<size_t>(i)]++)] = static_cast<int64_t>(t);
  if (j.single) j.first.clear();
  return j;
}

/// dy of all outputs as one array.
struct Gradients {
  std::vector<int64_t> begins;  // of each output
  std::vector<float> joined;

  const float* join(const BackwardBuffers& b, ThreadPool& pool) {
    if (begins.size() == 2) return b.dy[0];
    joined.resize(static_cast<size_t>(begins.back()));
    pool.run(static_cast<int64_t>(begins.size()) - 1, [&](int64_t i) {
      const auto k = static_cast<size_t>(i);
      std::memcpy(joined.data() + begins[k], b.dy[k],
                  static_cast<size_t>(begins[k + 1] - begins[k]) * sizeof(float));
    });
    return joined.data();
  }
};

void gather(const Journeys& j, const float* dy, float* dx, int64_t n, ThreadPool& pool) {
  parallel_for(pool, n, kTask, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      if (j.single) {
        dx[i] = j.targets[at] < 0 ? 0.0F : dy[j.targets[at]];
        continue;
      }
      double sum = 0;
      for (int64_t t = j.first[at]; t < j.first[at + 1]; ++t)
        sum += static_cast<double>(dy[j.targets[static_cast<size_t>(t)]]);
      dx[i] = static_cast<float>(sum);
    }
  });
}

}  // namespace

Result<Backward> copy_rule(const RuleCase& c) {
  return Backward(
      [bytes = static_cast<size_t>(c.elements(0)) * sizeof(float)](
          const BackwardBuffers& b, ThreadPool& /*pool*/) { std::memcpy(b.dx[0], b.dy[0], bytes); });
}

Result<Backward> transpose_rule(const RuleCase& c) {
  const Shape x = c.shape(0), y = c.result_shape();
  if (x.size() > static_cast<size_t>(kernels::kMaxCopyRank)) return movement_rule(c);
  std::vector<int64_t> perm = c.node.ints_attr("perm"), inverse(x.size());
  if (perm.empty())
    for (auto i = static_cast<int64_t>(x.size()); i-- > 0;) perm.push_back(i);
  for (size_t i = 0; i < perm.size(); ++i) inverse[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  const kernels::CopySpec spec = kernels::transpose_spec(y, inverse, sizeof(float));
  return Backward([spec, isa = c.isa](const BackwardBuffers& b, ThreadPool& pool) {
    kernels::copy_nd(spec, b.dy[0], b.dx[0], isa, pool);
  });
}

Result<Backward> movement_rule(const RuleCase& c) {
  if (c.node.op() == ir::Op::Resize && c.node.string_attr("mode", "nearest") != "nearest")
    return no_rule(c.node, "mode nearest", c.node.string_attr("mode", "nearest"));
  NARROW_TRY(const std::vector<Tensor> outputs, numbered_outputs(c.node));
  std::vector<double> sources;
  auto gradients = std::make_shared<Gradients>();
  gradients->begins.push_back(0);
  for (const Tensor& output : outputs) {
    const auto values = output.data<double>();
    sources.insert(sources.end(), values.begin(), values.end());
    gradients->begins.push_back(static_cast<int64_t>(sources.size()));
  }
  auto journeys = std::make_shared<std::vector<Journeys>>();
  double before = 0;
  for (size_t i = 0; i < c.node.inputs().size(); ++i) {
    const ir::Value* input = c.node.inputs()[i];
    const bool moves = input != nullptr && !input->is_constant() && input->type.dtype == DType::f32;
    const int64_t n = moves ? c.elements(static_cast<int>(i)) : 0;
    journeys->push_back(journeys_of(sources, before, n));
    before += static_cast<double>(n);
  }
  return Backward([c, journeys, gradients](const BackwardBuffers& b, ThreadPool& pool) {
    const float* dy = gradients->join(b, pool);
    for (size_t i = 0; i < journeys->size(); ++i)
      if (b.dx[i] != nullptr) gather((*journeys)[i], dy, b.dx[i], c.elements(static_cast<int>(i)), pool);
  });
}

}  // namespace narrow::quant::gradient
