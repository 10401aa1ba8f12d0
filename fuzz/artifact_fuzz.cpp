// A .narrow file: container, header, graph text. The checksum is made right first, or nothing would pass it.
#include <cstring>

#include "artifact/artifact.h"
#include "artifact/container.h"
#include "artifact/ledger.h"
#include "base/json_text.h"
#include "fuzz.h"
#include "ir/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace narrow;
  constexpr size_t kChecksumAt = 24;
  std::string bytes(fuzz::text_of(data, size));
  if (size % 16 != 0 && size >= static_cast<size_t>(artifact::kFixedBytes)) {
    const uint64_t sum = artifact::checksum(std::as_bytes(std::span(bytes)));
    std::memcpy(bytes.data() + kChecksumAt, &sum, sizeof(sum));
  }
  const std::filesystem::path& file = fuzz::file_of(bytes, ".narrow");
  const Result<artifact::Opened> opened = artifact::read(file);
  fuzz::check_error(opened);
  if (!opened.ok()) return 0;
  NARROW_CHECK(is_utf8(json_text(opened->about)));
  const Result<artifact::Ledger> ledger = artifact::read_ledger(file);
  fuzz::check_error(ledger);
  ir::Blob blob;
  const Result<ir::Graph> portable = opened->portable();
  fuzz::check_error(portable);
  if (portable.ok()) (void)ir::print(*portable, &blob);
  if (opened->engine) {
    const Result<ir::Graph> engine = opened->engine->load();
    fuzz::check_error(engine);
    if (engine.ok()) (void)ir::print(*engine, &blob);
  }
  return 0;
}
