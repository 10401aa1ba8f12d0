// A photo as the data set reads it: decoded, made smaller.
#include "data/image.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace narrow;
  const auto channels = static_cast<data::Channels>(size % 3);
  const Result<data::Image> image =
      data::read_jpeg(fuzz::file_of(fuzz::text_of(data, size), ".jpg"), channels);
  fuzz::check_error(image);
  if (image.ok() && image->height * image->width < (1 << 20)) (void)data::resize(*image, 7, 5);
  return 0;
}
