// What Winograd's minimal filtering of 3x3 windows works on: plain structs.
#pragma once

#include <cstddef>
#include <string>

#include "base/aligned.h"
#include "fmt/format.h"
#include "kernels/conv/conv.h"

namespace narrow::kernels {

/// Patches of `outputs` x `outputs` outputs, row by row over all images.
struct WinogradPatches {
  int64_t outputs, down, across, all;
  WinogradPatches(const ConvShape& s, int64_t side)
      : outputs(side), down(div_up(s.oh, side)), across(div_up(s.ow, side)), all(s.n * down * across) {}

  /// The first output of a patch.
  struct Place {
    int64_t image, y, x;
  };
  Place at(int64_t patch) const {
    const int64_t line = patch / across;
    return {line / down, line % down * outputs, patch % across * outputs};
  }
};

/// The pixels of a patch: bytes from row to row, and from pixel to pixel.
struct WinogradPixels {
  const std::byte* first;
  int64_t row, pixel;
};

/// Transformed filters of some channels and a panel's columns, words from place to place.
template <class Word>
struct WinogradFilters {
  const Word* u;
  int64_t place;
};

/// Products of `rows` transformed patches with filters at some places, summed over their channels.
template <class Word>
struct WinogradProducts {
  const Word* v;
  int64_t v_row, v_place;         // words between patches, and between places
  WinogradFilters<Word> filters;  // at the first place
  int64_t panel, place, places, from, channels, rows;
  bool adds;  // to sums that are there
  /// By places: with the same filters so many blocks of patches were multiplied before. -1 by blocks.
  int64_t turn;
};

/// Sums m[places][count][columns] of the patches [first, first + count). Where channels are summed in parts,
/// y[count][outputs of a patch][columns] is kept between them.
template <class Sum>
struct WinogradSums {
  int64_t panel, first, count;
  bool begins, ends;  // of the parts
  const Sum* m;
  Sum* y;
};

/// Why no kernel here takes such weights, whatever the types; else empty.
inline std::string winograd_unsupported_weights(const ConvShape& s) {
  if (s.kh != 3 || s.kw != 3) return fmt::format("window = {} x {}: wants 3 x 3", s.kh, s.kw);
  if (s.dilation_h != 1 || s.dilation_w != 1) return "wants dilation 1";
  return s.groups != 1 ? fmt::format("groups = {}: wants 1", s.groups) : "";
}

/// The same of the whole shape.
inline std::string winograd_unsupported(const ConvShape& s) {
  if (s.stride_h != 1 || s.stride_w != 1)
    return fmt::format("stride = {} x {}: wants 1", s.stride_h, s.stride_w);
  return winograd_unsupported_weights(s);
}

}  // namespace narrow::kernels
