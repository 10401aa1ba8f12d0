// dataset.toml.
#include "data/config.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace narrow;
  const Result<data::Config> config = data::read_config(fuzz::file_of(fuzz::text_of(data, size), ".toml"));
  fuzz::check_error(config);
  return 0;
}
