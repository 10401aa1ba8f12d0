#include "calib/histogram.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/statistics/statistics.h"

namespace narrow::calib {
namespace {

// Values below it share the two bins beside zero; the scale of the bins stays a finite float.
constexpr double kLeastLimit = 0x1p-100;

/// Four tables take turns: runs of equal values (zeros after a ReLU) would wait for each other's store.
constexpr size_t kTables = 4;
/// Fewer values go straight to the bins: tables are cleared and summed as a whole.
constexpr size_t kManyValues = kTables * Histogram::kBins;
constexpr size_t kBlock = 256;

using Tables = std::array<std::array<uint32_t, Histogram::kBins>, kTables>;

/// Calls count(x, indices, n) for blocks of values and their bins; those of NaN and Inf mean nothing.
template <class Count>
void for_each_block(std::span<const float> values, float scale, Isa isa, Count&& count) {
  std::array<int32_t, kBlock> indices;
  for (size_t at = 0; at < values.size(); at += kBlock) {
    const size_t n = std::min(kBlock, values.size() - at);
    kernels::bin_indices(values.data() + at, static_cast<int64_t>(n), scale, Histogram::kBins, indices.data(),
                         isa);
    count(values.data() + at, indices.data(), n);
  }
}

void count_few(std::span<const float> values, float scale, Isa isa, std::vector<int64_t>& bins) {
  for_each_block(values, scale, isa, [&](const float* x, const int32_t* indices, size_t n) {
    for (size_t i = 0; i < n; ++i)
      if (std::isfinite(x[i])) ++bins[static_cast<size_t>(indices[i])];
  });
}

/// All values finite, fewer than 2^32.
void count_many(std::span<const float> values, float scale, Isa isa, std::vector<int64_t>& bins) {
  Tables tables{};
  for_each_block(values, scale, isa, [&](const float*, const int32_t* indices, size_t n) {
    for (size_t i = 0; i + kTables <= n; i += kTables)
      for (size_t t = 0; t < kTables; ++t) ++tables[t][static_cast<size_t>(indices[i + t])];
    for (size_t i = n - n % kTables; i < n; ++i) ++tables[0][static_cast<size_t>(indices[i])];
  });
  for (size_t i = 0; i < bins.size(); ++i)
    for (const auto& table : tables) bins[i] += table[i];
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

Extremes Histogram::add(std::span<const float> values) {
  const Isa isa = usable_isa();
  const kernels::Extent e = kernels::extent_of(values.data(), static_cast<int64_t>(values.size()), isa);
  non_finite_ += static_cast<int64_t>(values.size()) - e.finite;
  has_nan_ = has_nan_ || e.nans > 0;
  if (e.finite == 0) return {};
  const Extremes extremes{e.min, e.max, e.finite};
  min_ = count_ == 0 ? e.min : std::min(min_, e.min);
  max_ = count_ == 0 ? e.max : std::max(max_, e.max);
  widen(std::max(std::fabs(e.min), std::fabs(e.max)));
  count_ += e.finite;
  zeros_ += e.zeros;
  // limit and the scale are powers of two (times kBins): the product is exact, so a value's bin never depends
  // on rounding.
  const auto scale = static_cast<float>(kBins / (2 * limit_));
  const bool all_finite = e.finite == static_cast<int64_t>(values.size());
  if (!all_finite || values.size() < kManyValues) {
    count_few(values, scale, isa, bins_);
    return extremes;
  }
  constexpr size_t kPiece = size_t{1} << 31;
  for (; !values.empty(); values = values.subspan(std::min(kPiece, values.size())))
    count_many(values.first(std::min(kPiece, values.size())), scale, isa, bins_);
  return extremes;
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
