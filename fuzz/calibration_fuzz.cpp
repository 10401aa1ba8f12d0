// calibration.json: what is read is written as text that reads the same, and gives ranges by every method.
#include "base/json_text.h"
#include "calib/profile.h"
#include "calib/range.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace narrow;
  const Result<calib::Profile> profile =
      calib::read_profile(fuzz::file_of(fuzz::text_of(data, size), ".calibration.json"));
  fuzz::check_error(profile);
  if (!profile.ok()) return 0;
  const std::string text = json_text(calib::to_json(*profile));
  const Result<calib::Profile> again = calib::read_profile(fuzz::file_of(text, ".calibration.json"));
  NARROW_CHECK(again.ok() && json_text(calib::to_json(*again)) == text);
  int left = 4;  // methods search; a few values per input keep the fuzzer fast
  for (const auto& [name, value] : profile->values) {
    if (left-- == 0) break;
    for (const auto method : {calib::Method::minmax, calib::Method::percentile, calib::Method::mse})
      (void)calib::choose_range(value.histogram, {.method = method, .percentile = 99.9, .levels = 256});
  }
  return 0;
}
