// How a task brings in what it was given to fetch, compiled into each instruction set's file (hence the
// unnamed namespace).
#pragma once

#include "kernels/conv/walk.h"

namespace narrow::kernels {
namespace {

/// The lines of one tile, into L2.
inline void fetch_lines(ConvFetch* fetch) {
  if (fetch == nullptr) return;
  const int64_t count = fetch->per_tile < fetch->lines ? fetch->per_tile : fetch->lines;
  for (int64_t i = 0; i < count; ++i, fetch->at += 64) __builtin_prefetch(fetch->at, 0, 2);
  fetch->lines -= count;
}

}  // namespace
}  // namespace narrow::kernels
