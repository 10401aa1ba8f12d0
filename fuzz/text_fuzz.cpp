// The text form: what parses prints as text that parses to the same text.
#include "fuzz.h"
#include "ir/schema.h"
#include "ir/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace narrow;
  alignas(64) static const std::byte blob[4096] = {};
  const Result<ir::Graph> graph = ir::parse(fuzz::text_of(data, size), blob, nullptr);
  fuzz::check_error(graph);
  if (!graph.ok()) return 0;
  ir::Blob first_blob, second_blob;
  const std::string first = ir::print(*graph, &first_blob);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(first_blob.bytes));
  const Result<ir::Graph> again = ir::parse(first, bytes, nullptr);
  NARROW_CHECK(again.ok());
  NARROW_CHECK(ir::print(*again, &second_blob) == first && second_blob.bytes == first_blob.bytes);
  Result<ir::Graph> typed = ir::parse(first, bytes, nullptr);
  fuzz::check_error(ir::verify(*typed));
  fuzz::check_error(ir::infer_types(*typed));
  return 0;
}
