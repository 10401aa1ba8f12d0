// The FP32 values of one run of a session that observes all of them.
#pragma once

#include <map>
#include <string>

#include "runtime/session.h"

namespace narrow::verify {

using Captured = std::map<std::string, Tensor>;  // FP32, by ONNX value name

class Capture final : public runtime::Observer {
 public:
  explicit Capture(Captured& values) : values_(values) {}
  void after(const ir::Node&, std::span<const runtime::ValueView> outputs) override {
    for (const runtime::ValueView& view : outputs)
      if (!view.value->origin.empty() && view.value->type.dtype == DType::f32)
        values_[view.value->origin] = view.to_reference();
  }

 private:
  Captured& values_;
};

}  // namespace narrow::verify
