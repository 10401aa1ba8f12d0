// How convolutions by Winograd's minimal filtering go through their images, whatever their numbers are.
//
// A task transforms some patches and multiplies them with one panel of weights after the other, a few patches
// at a time: the sums at all places of a patch, which then leave as outputs. By places, that is with all
// patches at one place before the next place, the weights of a place stay in L1 and more patches share what
// transforming some channels of a panel took; else the sums of a few patches do.
//
// Maths gives: Word and Sum, of 4 bytes at most; kOutputs, of a patch along each axis; kMostRows,
// kMostColumns and kKept, what the arrays here have room for: patches whose sums are made at a time, columns
// of a panel, and outputs of a patch that are kept while channels are summed in parts (0: never). And the
// functions that WinogradWalk calls.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "base/aligned.h"
#include "base/cpu.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/winograd_patches.h"

namespace narrow::kernels {

template <class Maths>
class WinogradWalk final : public ConvKernel {
 public:
  WinogradWalk(Maths maths, int threads)
      : maths_(std::move(maths)), shape_(maths_.shape()), patches_(shape_, Maths::kOutputs) {
    // Half of L2 for patches, where a panel's filters are the rest of what comes by; by places they come in
    // order, from beyond L2, too. Enough of them share filters.
    const int64_t fit = cpu_features().l2_bytes / (kPlaces * shape_.c * kWord),
                  sharing = maths_.by_places() ? std::clamp<int64_t>(4 * fit, 48, 96) : 96;
    at_once_ = std::clamp(maths_.by_places() ? fit : fit / 2, sharing, std::max(sharing, patches_.all));
    deal(threads);
    at_once_ = std::min(at_once_, div_up(patches_.all, patch_tasks_));
    constexpr int64_t kLine = 32;  // words: what is `far` apart begins in different cache sets
    const int64_t near = shape_.c, far = (maths_.by_places() ? at_once_ : kPlaces) * near + kLine;
    row_ = maths_.by_places() ? near : far, place_ = maths_.by_places() ? far : near;
  }

  int64_t scratch_bytes() const override { return patch_tasks_ * panel_tasks_ * task_bytes(); }

  void run(const ConvBuffers& buffers, ThreadPool& pool) const override {
    pool.run(patch_tasks_ * panel_tasks_, [&](int64_t task) {
      const int64_t part = task / panel_tasks_, panels = task % panel_tasks_;
      const Range range{patches_.all * part / patch_tasks_, patches_.all * (part + 1) / patch_tasks_,
                        maths_.panels() * panels / panel_tasks_,
                        maths_.panels() * (panels + 1) / panel_tasks_};
      run_task(buffers, range, scratch_at(static_cast<std::byte*>(buffers.scratch) + task * task_bytes()));
    });
  }

 private:
  using Word = typename Maths::Word;
  using Sum = typename Maths::Sum;
  static constexpr int64_t kPatch = Maths::kOutputs + 2, kPlaces = kPatch * kPatch, kWord = sizeof(Word);

  struct Range {
    int64_t begin, end, panel_begin, panel_end;  // patches, panels
  };

  /// Threads share the filters where these are more than patches, which take about as long to transform, else
  /// the patches. What takes long gets two tasks a thread: cores are not equally fast all the time.
  void deal(int threads) {
    constexpr int64_t kFew = 6;
    if (threads == 1 || shape_.oc > patches_.all || patches_.all < kFew * threads) {
      panel_tasks_ = std::min<int64_t>(threads, maths_.panels());
      patch_tasks_ = std::clamp<int64_t>(threads / panel_tasks_, 1, div_up(patches_.all, kFew));
      return;
    }
    patch_tasks_ = threads * std::clamp<int64_t>(patches_.all / (threads * at_once_), 1, 2);
  }

  int64_t pixel_bytes() const { return shape_.c * maths_.element_bytes(); }
  int64_t border_bytes() const { return round_up(kPlaces * pixel_bytes(), 64); }
  int64_t patch_bytes() const {
    return round_up((maths_.by_places() ? kPlaces * place_ : at_once_ * row_) * kWord, 64);
  }
  int64_t weight_bytes() const { return round_up(maths_.weight_words() * kWord, 64); }
  /// Of all patches of a task, with one panel: sums, and outputs.
  int64_t sums() const { return maths_.by_places() ? at_once_ * kPlaces * maths_.columns() : 0; }
  int64_t outputs() const { return maths_.by_places() ? at_once_ * Maths::kKept * maths_.columns() : 0; }
  int64_t task_bytes() const {
    return border_bytes() + weight_bytes() + patch_bytes() + (sums() + outputs()) * 4;
  }

  /// Of a task.
  struct Scratch {
    std::byte* border;
    Word *weights, *v;
    Sum* m;  // sums(), then outputs()
  };
  Scratch scratch_at(std::byte* at) const {
    std::byte *weights = at + border_bytes(), *v = weights + weight_bytes(), *m = v + patch_bytes();
    return {at, reinterpret_cast<Word*>(weights), reinterpret_cast<Word*>(v), reinterpret_cast<Sum*>(m)};
  }

  void run_task(const ConvBuffers& buffers, const Range& range, const Scratch& scratch) const {
    const int64_t groups = div_up(range.end - range.begin, at_once_);
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t begin = range.begin + (range.end - range.begin) * g / groups,
                    end = range.begin + (range.end - range.begin) * (g + 1) / groups;
      for (int64_t patch = begin; patch < end; ++patch)
        transform(buffers, patch, scratch.border, scratch.v + (patch - begin) * row_);
      const Block all{begin, end - begin, scratch.v};
      for (int64_t panel = range.panel_begin; panel < range.panel_end; ++panel)
        maths_.by_places() ? multiply_by_places(buffers, panel, all, scratch)
                           : multiply_by_blocks(buffers, panel, all, scratch);
    }
  }

  void transform(const ConvBuffers& buffers, int64_t patch, std::byte* border, Word* v) const {
    const WinogradPatches::Place place = patches_.at(patch);
    const int64_t y = place.y - shape_.pad_top, x = place.x - shape_.pad_left,
                  pixel = shape_.src_pixel() * maths_.element_bytes();
    const std::byte* image =
        static_cast<const std::byte*>(buffers.src) + place.image * shape_.h * shape_.w * pixel;
    WinogradPixels from{image + (y * shape_.w + x) * pixel, shape_.w * pixel, pixel};
    if (y < 0 || x < 0 || y + kPatch > shape_.h || x + kPatch > shape_.w) {
      copy_border(image, y, x, border);
      from = {border, kPatch * pixel_bytes(), pixel_bytes()};
    }
    maths_.transform_in(from, v, place_);
  }

  /// The pixels of a patch from (y, x) on, padding outside the image.
  void copy_border(const std::byte* image, int64_t y, int64_t x, std::byte* to) const {
    const auto bytes = static_cast<size_t>(pixel_bytes());
    const int64_t pixel = shape_.src_pixel() * maths_.element_bytes();
    for (int64_t i = 0; i < kPatch; ++i)
      for (int64_t j = 0; j < kPatch; ++j, to += bytes) {
        const bool inside = y + i >= 0 && y + i < shape_.h && x + j >= 0 && x + j < shape_.w;
        if (inside)
          std::memcpy(to, image + ((y + i) * shape_.w + x + j) * pixel, bytes);
        else
          std::memset(to, maths_.fill(), bytes);
      }
  }

  /// Transformed patches [first, first + count).
  struct Block {
    int64_t first, count;
    const Word* v;
    int64_t turn = -1;  // how many were multiplied with the same weights before; see WinogradProducts
  };

  /// Calls f(i, block) for blocks of at most `rows` patches, i being the first one's place among them.
  template <class F>
  void for_each_block(const Block& patches, int64_t rows, const F& f) const {
    const int64_t blocks = div_up(patches.count, rows);
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t first = patches.count * b / blocks, end = patches.count * (b + 1) / blocks;
      f(first, Block{patches.first + first, end - first, patches.v + first * row_, b});
    }
  }

  void multiply_by_blocks(const ConvBuffers& buffers, int64_t panel, const Block& patches,
                          const Scratch& scratch) const {
    alignas(64) std::array<Sum, kPlaces * Maths::kMostRows * Maths::kMostColumns> m;
    alignas(64) std::array<Sum, Maths::kKept * Maths::kMostRows * Maths::kMostColumns> y;
    const int64_t part = maths_.channels_at_once();
    const WinogradFilters<Word> all = maths_.filters(panel, 0, shape_.c, scratch.weights);
    for_each_block(patches, maths_.rows(), [&](int64_t, Block block) {
      block.turn = -1;
      for (int64_t from = 0; from < shape_.c; from += part) {
        const WinogradFilters<Word> filters{all.u + from * maths_.columns(), all.place};
        multiply(filters, {panel, from, std::min(part, shape_.c - from)}, {0, kPlaces}, block, m.data());
        leave(buffers, panel, from, block, m.data(), y.data());
      }
    });
  }

  void multiply_by_places(const ConvBuffers& buffers, int64_t panel, const Block& patches,
                          const Scratch& scratch) const {
    Sum *m = scratch.m, *y = m + sums();
    const int64_t columns = maths_.columns(), part = maths_.channels_at_once();
    for (int64_t begin = 0; begin < shape_.c; begin += part) {
      const int64_t end = std::min(shape_.c, begin + part);
      for (int64_t from = begin; from < end; from += maths_.channels_transformed()) {
        const int64_t channels = std::min(maths_.channels_transformed(), end - from);
        const WinogradFilters<Word> filters = maths_.filters(panel, from, channels, scratch.weights);
        for (int64_t place = 0; place < kPlaces; ++place)
          for_each_block(patches, maths_.most_rows(), [&](int64_t first, const Block& block) {
            multiply(filters, {panel, from, channels, from > begin}, {place, 1}, block,
                     m + (first * kPlaces + place * block.count) * columns);
          });
      }
      for_each_block(patches, maths_.most_rows(), [&](int64_t first, const Block& block) {
        leave(buffers, panel, begin, block, m + first * kPlaces * columns,
              y + first * Maths::kKept * columns);
      });
    }
  }

  struct Channels {
    int64_t panel, from, count;
    bool adds = false;  // to sums that are there
  };
  struct Places {
    int64_t first, count;
  };

  /// m[places][patches][columns]
  void multiply(const WinogradFilters<Word>& filters, const Channels& channels, const Places& places,
                const Block& block, Sum* m) const {
    maths_.multiply({.v = block.v + places.first * place_ + channels.from,
                     .v_row = row_,
                     .v_place = place_,
                     .filters = {filters.u + places.first * filters.place, filters.place},
                     .panel = channels.panel,
                     .place = places.first,
                     .places = places.count,
                     .from = channels.from,
                     .channels = channels.count,
                     .rows = block.count,
                     .adds = channels.adds,
                     .turn = block.turn},
                    m);
  }

  void leave(const ConvBuffers& buffers, int64_t panel, int64_t from, const Block& block, const Sum* m,
             Sum* y) const {
    maths_.leave(
        buffers, patches_,
        {panel, block.first, block.count, from == 0, from + maths_.channels_at_once() >= shape_.c, m, y});
  }

  Maths maths_;
  const ConvShape& shape_;
  WinogradPatches patches_;
  int64_t at_once_ = 0;          // transformed patches that are kept
  int64_t row_ = 0, place_ = 0;  // words from patch to patch, and from place to place
  int64_t patch_tasks_ = 1, panel_tasks_ = 1;
};

}  // namespace narrow::kernels
