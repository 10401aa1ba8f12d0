// What converting between kinds of values takes on this machine.
#pragma once

#include <array>
#include <memory>

#include "base/result.h"
#include "parallel/thread_pool.h"
#include "search/mix.h"

namespace narrow::pipeline {

/// start + per_number * n milliseconds for n numbers.
struct CastRate {
  double start = 0, per_number = 0;
  double ms(double numbers) const { return start + per_number * numbers; }
};

/// From FP32 to a carrier and back, by search::Carrier.
struct CastRates {
  std::array<CastRate, search::kCarriers> leave = {}, enter = {};
  search::CastCosts of(double numbers) const;
};

/// Steps that only convert, timed on two sizes. Where the engine fuses a conversion into the step beside it,
/// a mix takes less than these say. Errors: those of the engine.
Result<CastRates> measure_casts(const std::shared_ptr<ThreadPool>& pool);

/// The same every time: five bytes a number at 10 GB/s for whatever carrier, two microseconds to start.
CastRates pinned_casts();

}  // namespace narrow::pipeline
