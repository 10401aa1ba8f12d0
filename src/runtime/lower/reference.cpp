// The plain backend as the last candidate of every op it has.
#include "runtime/reference/reference.h"

#include <fmt/format.h>

#include <cstring>

#include "ir/schema.h"
#include "runtime/lower/lower.h"

namespace narrow::runtime::lower {
namespace {

class ReferenceStep final : public Kernel {
 public:
  explicit ReferenceStep(const ir::Node& node) : node_(node) {
    for (const ir::Value* input : node.inputs()) {
      input_shapes_.push_back(input != nullptr ? input->type.shape() : Shape{});
    }
  }

  Status run(const StepBuffers& buffers, ThreadPool& /*pool*/) const override {
    std::vector<Tensor> tensors;
    std::vector<const Tensor*> inputs;
    tensors.reserve(input_shapes_.size());
    for (size_t i = 0; i < input_shapes_.size(); ++i) {
      const ir::Value* value = node_.input(static_cast<int>(i));
      if (value == nullptr) {
        inputs.push_back(nullptr);
        continue;
      }
      tensors.push_back(Tensor::borrow(value->type.dtype, input_shapes_[i], buffers.inputs[i], nullptr));
      inputs.push_back(&tensors.back());
    }
    NARROW_TRY(const std::vector<Tensor> outputs, reference::evaluate(node_, inputs));
    for (size_t i = 0; i < outputs.size() && i < buffers.outputs.size(); ++i) {
      const ir::Value* value = node_.output(static_cast<int>(i));
      if (outputs[i].dtype() != value->type.dtype || outputs[i].shape() != value->type.shape())
        return Error{.code = Code::unsupported,
                     .subject = node_.location(),
                     .expected = "an output of type " + ir::to_string(value->type),
                     .got = fmt::format("{}{}", narrow::to_string(outputs[i].dtype()),
                                        narrow::to_string(outputs[i].shape())),
                     .hint = "outputs whose shape depends on data cannot be planned"};
      if (outputs[i].bytes() > 0)
        std::memcpy(buffers.outputs[i], outputs[i].raw(), static_cast<size_t>(outputs[i].bytes()));
    }
    return {};
  }

 private:
  const ir::Node& node_;
  std::vector<Shape> input_shapes_;
};

}  // namespace

void add_reference(Table& table) {
  for (const ir::OpSchema& schema : ir::all_schemas()) {
    if (!reference::supports(schema.op)) continue;
    table[schema.op].push_back({.name = "reference",
                                .isa = Isa::plain,
                                .unsupported = [](const NodeCase&) { return std::string(); },
                                .create = [](const NodeCase& c) -> Result<std::unique_ptr<Kernel>> {
                                  return std::unique_ptr<Kernel>(std::make_unique<ReferenceStep>(c.node));
                                }});
  }
}

}  // namespace narrow::runtime::lower
