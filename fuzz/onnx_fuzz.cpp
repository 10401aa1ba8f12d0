// An ONNX file through import, shape inference, the portable passes and the export: whatever comes, an error
// or a graph that verifies.
#include "fuzz.h"
#include "ir/schema.h"
#include "onnx/export.h"
#include "onnx/import.h"
#include "passes/pass.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace narrow;
  auto model = onnx::import_bytes(std::as_bytes(std::span(data, size)), "/nonexistent");
  fuzz::check_error(model);
  if (!model.ok()) return 0;
  const passes::PassContext context{.evaluate = {}};
  const auto optimized = passes::run_passes(model->graph, passes::portable_passes(), context);
  fuzz::check_error(optimized);
  if (!optimized.ok()) return 0;
  NARROW_CHECK(ir::verify(model->graph).ok());
  fuzz::check_error(onnx::export_bytes(model->graph));
  return 0;
}
