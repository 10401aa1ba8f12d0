#include "calib/histogram.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

namespace narrow::calib {
namespace {

// Values below it share the two bins beside zero; the scale of the bins stays a finite float.
constexpr double kLeastLimit = 0x1p-100;

struct Extent {
  float min = std::numeric_limits<float>::infinity(), max = -std::numeric_limits<float>::infinity();
  int64_t finite = 0, zeros = 0, nans = 0;
};

/// The extent of each of kLanes interleaved subsequences: straight loops, which the compiler turns into
/// vectors.
struct LaneExtents {
  static constexpr size_t kLanes = 16;
  std::array<float, kLanes> min, max;
  std::array<int32_t, kLanes> finite{}, zeros{}, nans{};

  LaneExtents() {
    min.fill(std::numeric_limits<float>::infinity());
    max.fill(-std::numeric_limits<float>::infinity());
  }

  __attribute__((optimize("O3"))) void add(const float* values) {
    constexpr float kLargest = std::numeric_limits<float>::max(),
                    kInf = std::numeric_limits<float>::infinity();
    for (size_t i = 0; i < kLanes; ++i) {
      const float x = values[i];
      const bool is_finite = std::fabs(x) <= kLargest;  // false for NaN
      const float low = is_finite ? x : kInf, high = is_finite ? x : -kInf;
      min[i] = low < min[i] ? low : min[i];
      max[i] = high > max[i] ? high : max[i];
      finite[i] += is_finite ? 1 : 0;
      zeros[i] += x == 0 ? 1 : 0;
      nans[i] += x != x ? 1 : 0;
    }
  }

  void add_to(Extent& e) const {
    for (size_t i = 0; i < kLanes; ++i) {
      e.min = std::min(e.min, min[i]);
      e.max = std::max(e.max, max[i]);
      e.finite += finite[i];
      e.zeros += zeros[i];
      e.nans += nans[i];
    }
  }
};

Extent extent_of(std::span<const float> values) {
  constexpr size_t kLanes = LaneExtents::kLanes, kPiece = size_t{1} << 30;  // lanes count in 32 bits
  Extent e;
  while (!values.empty()) {
    const std::span<const float> piece = values.first(std::min(kPiece, values.size()));
    LaneExtents lanes;
    size_t i = 0;
    for (; i + kLanes <= piece.size(); i += kLanes) lanes.add(piece.data() + i);
    if (i < piece.size()) {  // the tail, filled up with a NaN that is taken off again
      std::array<float, kLanes> tail;
      tail.fill(std::numeric_limits<float>::quiet_NaN());
      std::copy(piece.begin() + static_cast<std::ptrdiff_t>(i), piece.end(), tail.begin());
      lanes.add(tail.data());
      e.nans -= static_cast<int64_t>(kLanes - (piece.size() - i));
    }
    lanes.add_to(e);
    values = values.subspan(piece.size());
  }
  return e;
}

/// floor(x * scale) counted from the middle, without a call: truncation, corrected below zero.
int32_t bin_of(float x, float scale) {
  constexpr auto kMiddle = static_cast<int32_t>(Histogram::kBins / 2);
  const float scaled = x * scale;
  const auto truncated = static_cast<int32_t>(scaled);
  // A negative number so small that the product vanished still belongs below zero.
  const bool below = scaled < static_cast<float>(truncated) || (x < 0 && scaled == 0);
  return std::clamp(truncated + kMiddle - (below ? 1 : 0), 0, 2 * kMiddle - 1);
}

/// Fewer are counted one by one: count_many clears and sums whole tables.
constexpr size_t kManyValues = 4 * Histogram::kBins;

using BinIndices = std::array<int32_t, 256>;
__attribute__((optimize("O3"))) void bins_of(const float* values, float scale, BinIndices& indices) {
  for (size_t i = 0; i < indices.size(); ++i) indices[i] = bin_of(values[i], scale);
}

/// Counts whole blocks of finite values into bins; returns how many values that was. Four tables take turns:
/// runs of equal values (zeros after a ReLU) would wait for each other's store.
size_t count_many(std::span<const float> values, float scale, std::vector<int64_t>& bins) {
  constexpr size_t kTables = 4, kPiece = size_t{1} << 30;  // tables count in 32 bits
  const size_t count = values.size() - values.size() % BinIndices{}.size();
  for (size_t first = 0; first < count; first += kPiece) {
    std::array<std::array<uint32_t, Histogram::kBins>, kTables> tables{};
    const size_t end = std::min(count, first + kPiece);
    for (size_t at = first; at < end; at += BinIndices{}.size()) {
      BinIndices indices;
      bins_of(values.data() + at, scale, indices);
      for (size_t i = 0; i < indices.size(); i += kTables)
        for (size_t t = 0; t < kTables; ++t) ++tables[t][static_cast<size_t>(indices[i + t])];
    }
    for (size_t i = 0; i < bins.size(); ++i)
      for (const auto& table : tables) bins[i] += table[i];
  }
  return count;
}

}  // namespace

void Histogram::widen(float magnitude) {
  if (bins_.empty()) bins_.assign(kBins, 0);
  const double wanted = std::max(
      std::exp2(std::ceil(std::log2(std::max(static_cast<double>(magnitude), 1e-38)) + 1e-9)), kLeastLimit);
  if (limit_ == 0) limit_ = wanted;
  while (limit_ < wanted || limit_ <= magnitude) {
    std::vector<int64_t> merged(kBins, 0);
    for (int64_t i = 0; i < kBins / 2; ++i)
      merged[static_cast<size_t>(kBins / 4 + i)] =
          bins_[static_cast<size_t>(2 * i)] + bins_[static_cast<size_t>(2 * i + 1)];
    bins_ = std::move(merged);
    limit_ *= 2;
  }
}

void Histogram::add(std::span<const float> values) {
  const Extent e = extent_of(values);
  non_finite_ += static_cast<int64_t>(values.size()) - e.finite;
  has_nan_ = has_nan_ || e.nans > 0;
  if (e.finite == 0) return;
  min_ = count_ == 0 ? e.min : std::min(min_, e.min);
  max_ = count_ == 0 ? e.max : std::max(max_, e.max);
  widen(std::max(std::fabs(e.min), std::fabs(e.max)));
  count_ += e.finite;
  zeros_ += e.zeros;
  // limit and the scale are powers of two (times kBins): the product is exact, so a value's bin never depends
  // on rounding.
  const auto scale = static_cast<float>(kBins / (2 * limit_));
  const bool all_finite = e.finite == static_cast<int64_t>(values.size());
  const std::span<const float> rest =
      all_finite && values.size() >= kManyValues ? values.subspan(count_many(values, scale, bins_)) : values;
  for (const float x : rest)
    if (std::isfinite(x)) ++bins_[static_cast<size_t>(bin_of(x, scale))];
}

void Histogram::merge(const Histogram& other) {
  non_finite_ += other.non_finite_;
  has_nan_ = has_nan_ || other.has_nan_;
  if (other.count_ == 0) return;
  min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = count_ == 0 ? other.max_ : std::max(max_, other.max_);
  Histogram wide = other;
  const auto magnitude = static_cast<float>(std::max(limit_, wide.limit_) / 2);
  widen(magnitude);
  wide.widen(magnitude);
  while (limit_ < wide.limit_) widen(static_cast<float>(limit_));
  while (wide.limit_ < limit_) wide.widen(static_cast<float>(wide.limit_));
  for (size_t i = 0; i < bins_.size(); ++i) bins_[i] += wide.bins_[i];
  count_ += other.count_;
  zeros_ += other.zeros_;
}

Json Histogram::to_json() const {
  Json runs = Json::array();
  int64_t empty = 0;
  for (const int64_t n : bins_) {
    if (n == 0) {
      ++empty;
      continue;
    }
    if (empty > 0) runs.push_back(-empty);
    empty = 0;
    runs.push_back(n);
  }
  return {{"min", min_},
          {"max", max_},
          {"limit", limit_},
          {"count", count_},
          {"zeros", zeros_},
          {"non_finite", non_finite_},
          {"bins", std::move(runs)}};
}

Result<Histogram> Histogram::from_json(const Json& json, const std::string& subject) {
  const auto bad = [&](const std::string& got) {
    return Error{.code = Code::invalid_data,
                 .subject = subject,
                 .expected = "a histogram as `narrow calibrate` writes it",
                 .got = got,
                 .hint = "calibrate again"};
  };
  Histogram h;
  for (const char* key : {"min", "max", "limit"})
    if (!json.is_object() || !json.contains(key) || !json[key].is_number())
      return bad(fmt::format("no number '{}'", key));
  for (const char* key : {"count", "zeros", "non_finite"})
    if (!json.contains(key) || !json[key].is_number_integer() || json[key].get<int64_t>() < 0)
      return bad(fmt::format("no count '{}'", key));
  if (!json.contains("bins") || !json["bins"].is_array()) return bad("no bins");
  const auto low = json["min"].get<double>(), high = json["max"].get<double>();
  h.limit_ = json["limit"].get<double>();
  h.count_ = json["count"].get<int64_t>();
  h.zeros_ = json["zeros"].get<int64_t>();
  h.non_finite_ = json["non_finite"].get<int64_t>();
  if (h.count_ == 0) return h;
  int exponent = 0;
  if (!(h.limit_ >= kLeastLimit && h.limit_ <= 0x1p128) || std::frexp(h.limit_, &exponent) != 0.5 ||
      !(low >= -h.limit_ && low <= high && high < h.limit_) || h.zeros_ > h.count_)
    return bad("a range that cannot be");
  constexpr double kLargest = std::numeric_limits<float>::max();
  h.min_ = static_cast<float>(std::clamp(low, -kLargest, kLargest));
  h.max_ = static_cast<float>(std::clamp(high, -kLargest, kLargest));
  int64_t total = 0;
  for (const Json& run : json["bins"]) {
    if (!run.is_number_integer()) return bad("a bin that is no count");
    const auto n = run.get<int64_t>();
    const int64_t space = kBins - static_cast<int64_t>(h.bins_.size());
    if (n == 0 || (n < 0 ? n < -space : space < 1)) return bad("more bins than there are");
    if (n > 0 && n > h.count_ - total) return bad("bins that do not add up to the count");
    h.bins_.resize(h.bins_.size() + static_cast<size_t>(n < 0 ? -n : 1), n < 0 ? 0 : n);
    total += n > 0 ? n : 0;
  }
  h.bins_.resize(kBins, 0);
  if (total != h.count_) return bad("bins that do not add up to the count");
  return h;
}

}  // namespace narrow::calib
