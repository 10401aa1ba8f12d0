#include "tensorrt/calibration_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include "base/printable.h"

namespace narrow::tensorrt {
namespace {

constexpr std::string_view kSeparator = ": ";
constexpr size_t kDigits = 8;

Error bad_line(int64_t line, std::string expected, std::string_view got) {
  return {.code = Code::invalid_data,
          .subject = fmt::format("calibration cache, line {}", line),
          .expected = std::move(expected),
          .got = "'" + printable(got.substr(0, 200)) + "'"};
}

/// "TRT-<digits>-<algorithm>".
bool is_header(std::string_view line) {
  constexpr std::string_view kStart = "TRT-";
  if (!line.starts_with(kStart)) return false;
  line.remove_prefix(kStart.size());
  const size_t digits = std::min(line.find_first_not_of("0123456789"), line.size());
  return digits > 0 && line.size() > digits + 1 && line[digits] == '-';
}

Result<std::pair<std::string, float>> parse_line(std::string_view line, int64_t number) {
  const size_t at = line.rfind(kSeparator);
  const std::string expected = "a tensor's name, ': ' and eight hexadecimal digits";
  if (at == std::string_view::npos || at == 0) return bad_line(number, expected, line);
  const std::string_view digits = line.substr(at + kSeparator.size());
  uint32_t bits = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits, 16);
  if (digits.size() != kDigits || error != std::errc() || end != digits.data() + digits.size())
    return bad_line(number, expected, line);
  return std::pair{std::string(line.substr(0, at)), std::bit_cast<float>(bits)};
}

}  // namespace

float cache_scale(float low, float high) {
  const float magnitude = std::max(std::fabs(low), std::fabs(high));
  return (magnitude > 0 ? magnitude : 1.0F) / 127.0F;
}

Result<std::string> calibration_cache(const std::map<std::string, float>& scales, int64_t version) {
  std::string text = fmt::format("TRT-{}-EntropyCalibration2\n", version);
  for (const auto& [name, scale] : scales) {
    const std::string subject = "tensor '" + printable(name) + "' in a calibration cache";
    if (name.empty() || name.find_first_of("\r\n") != std::string::npos)
      return Error{.code = Code::invalid_argument,
                   .subject = subject,
                   .expected = "a name on one line",
                   .got = name.empty() ? "none" : "a line break in it",
                   .hint = "rename the value in the model"};
    if (!(scale > 0) || !std::isfinite(scale))
      return Error{.code = Code::invalid_argument,
                   .subject = subject,
                   .expected = "a scale > 0 and finite",
                   .got = fmt::format("{}", scale)};
    text += fmt::format("{}{}{:08x}\n", name, kSeparator, std::bit_cast<uint32_t>(scale));
  }
  return text;
}

Result<std::map<std::string, float>> parse_calibration_cache(std::string_view text) {
  std::map<std::string, float> scales;
  for (int64_t number = 1; !text.empty() || number == 1; ++number) {
    const size_t length = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, length);
    text.remove_prefix(std::min(length + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (number == 1) {
      if (!is_header(line)) return bad_line(1, "TRT-<version>-<algorithm>", line);
      continue;
    }
    if (line.empty()) continue;
    NARROW_TRY(const auto entry, parse_line(line, number));
    if (!scales.insert(entry).second) return bad_line(number, "each tensor once", entry.first);
  }
  return scales;
}

}  // namespace narrow::tensorrt
