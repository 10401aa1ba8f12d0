#include "calib/profile.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/file.h"
#include "base/json_text.h"

namespace narrow::calib {

Json to_json(const Profile& profile) {
  Json values = Json::object();
  for (const auto& [name, value] : profile.values) {
    Json entry = value.histogram.to_json();
    if (!value.channel_min.empty()) {
      entry["channel_min"] = value.channel_min;
      entry["channel_max"] = value.channel_max;
      entry["channel_mean"] = value.channel_mean;
    }
    if (!value.channel_square.empty()) entry["channel_square"] = value.channel_square;
    entry["average"] = {value.average_min, value.average_max};
    values[name] = std::move(entry);
  }
  Json methods = Json::object();
  for (const auto& [name, method] : profile.methods) methods[name] = to_string(method);
  Json ranges = Json::object();
  for (const auto& [name, range] : profile.ranges) ranges[name] = {range.low, range.high};
  return {{"kind", "narrow calibration"},  {"version", 1},
          {"model", profile.model_hash},   {"data", profile.data_hash},
          {"samples", profile.samples},    {"values", std::move(values)},
          {"methods", std::move(methods)}, {"ranges", std::move(ranges)}};
}

Range range_of(const Profile& profile, const std::string& value, const RangeOptions& options) {
  const auto found = profile.values.find(value);
  if (found == profile.values.end()) return {};
  RangeOptions chosen = options;
  if (options.method == Method::output_error) {
    if (const auto range = profile.ranges.find(value); range != profile.ranges.end()) return range->second;
    chosen.method = Method::mse;
  }
  if (options.method == Method::automatic) {
    const auto method = profile.methods.find(value);
    chosen.method = method == profile.methods.end() ? Method::mse : method->second;
  }
  if (chosen.method == Method::moving_average)
    return {std::min(found->second.average_min, 0.0F), std::max(found->second.average_max, 0.0F)};
  return choose_range(found->second.histogram, chosen);
}

namespace {

Result<std::vector<float>> floats(const Json& entry, const char* key, const std::string& subject) {
  std::vector<float> list;
  if (!entry.contains(key)) return list;
  for (const Json& number : entry[key]) {
    if (!number.is_number() || !(std::fabs(number.get<double>()) <= std::numeric_limits<float>::max()))
      return Error{.code = Code::invalid_data,
                   .subject = subject,
                   .expected = std::string("32-bit floats in ") + key,
                   .got = number.is_number() ? json_text(number) : number.type_name(),
                   .hint = "calibrate again"};
    list.push_back(number.get<float>());
  }
  return list;
}

}  // namespace

Result<Profile> read_profile(const std::filesystem::path& path) {
  NARROW_TRY(const auto file, MappedFile::open(path));
  const auto bad = [&](std::string got) {
    return Error{.code = Code::invalid_data,
                 .subject = path.string(),
                 .expected = "a calibration.json of narrow, version 1",
                 .got = std::move(got),
                 .hint = "calibrate again"};
  };
  const Result<Json> parsed = parse_json(file->text(), path.string());
  if (!parsed.ok() || !parsed->is_object()) return bad("no JSON object");
  const Json& json = *parsed;
  for (const char* key : {"kind", "model", "data"})
    if (!json.contains(key) || !json[key].is_string()) return bad(std::string("no text '") + key + "'");
  if (json["kind"] != "narrow calibration" || !json.contains("version") || json["version"] != 1)
    return bad("another kind or version");
  if (!json.contains("samples") || !json["samples"].is_number_integer() || !json.contains("values") ||
      !json["values"].is_object())
    return bad("no samples or values");
  Profile profile{.model_hash = json["model"].get<std::string>(),
                  .data_hash = json["data"].get<std::string>(),
                  .samples = json["samples"].get<int64_t>(),
                  .values = {},
                  .methods = {}};
  for (const auto& [name, entry] : json["values"].items()) {
    const std::string subject = path.string() + ": value '" + name + "'";
    ValueProfile value;
    NARROW_TRY(value.histogram, Histogram::from_json(entry, subject));
    NARROW_TRY(value.channel_min, floats(entry, "channel_min", subject));
    NARROW_TRY(value.channel_max, floats(entry, "channel_max", subject));
    NARROW_TRY(value.channel_mean, floats(entry, "channel_mean", subject));
    NARROW_TRY(value.channel_square, floats(entry, "channel_square", subject));
    NARROW_TRY(const std::vector<float> average, floats(entry, "average", subject));
    if (average.size() == 2) {
      value.average_min = average[0], value.average_max = average[1];
    } else if (!average.empty()) {
      return bad("value '" + name + "' whose average is not two numbers");
    } else {
      value.average_min = value.histogram.min(), value.average_max = value.histogram.max();
    }
    if (value.channel_max.size() != value.channel_min.size() ||
        value.channel_mean.size() != value.channel_min.size() ||
        (!value.channel_square.empty() && value.channel_square.size() != value.channel_min.size()))
      return bad("value '" + name + "' with lists per channel of different lengths");
    profile.values.emplace(name, std::move(value));
  }
  if (json.contains("methods") && json["methods"].is_object())
    for (const auto& [name, method] : json["methods"].items()) {
      const auto known = method.is_string() ? parse_method(method.get<std::string>()) : std::nullopt;
      if (!known || *known == Method::automatic || *known == Method::output_error)
        return bad("an unknown method of value '" + name + "'");
      profile.methods[name] = *known;
    }
  if (json.contains("ranges") && json["ranges"].is_object())
    for (const auto& [name, entry] : json["ranges"].items()) {
      NARROW_TRY(const std::vector<float> ends, floats(json["ranges"], name.c_str(), path.string()));
      if (ends.size() != 2 || !(ends[0] <= 0) || !(ends[1] >= 0))
        return bad("a range of value '" + name + "' that is not two numbers around 0");
      profile.ranges[name] = {ends[0], ends[1]};
    }
  return profile;
}

Status write_profile(const std::filesystem::path& path, const Profile& profile) {
  return write_file(path, json_text(to_json(profile)) + "\n");
}

Status check_origin(const Profile& profile, const std::string& model_hash, const std::string& data_hash) {
  if (profile.model_hash != model_hash)
    return Error{.code = Code::invalid_data,
                 .subject = "calibration",
                 .expected = "one made from this model (hash " + model_hash + ")",
                 .got = "one made from " + profile.model_hash,
                 .hint = "calibrate again"};
  if (!data_hash.empty() && profile.data_hash != data_hash)
    return Error{.code = Code::invalid_data,
                 .subject = "calibration",
                 .expected = "one made from this data (hash " + data_hash + ")",
                 .got = "one made from " + profile.data_hash,
                 .hint = "calibrate again"};
  return {};
}

}  // namespace narrow::calib
