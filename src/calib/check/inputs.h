// What the samples themselves look like, before any model saw them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "calib/check/selection.h"

namespace narrow::calib {

/// Of the finite values of one channel.
struct ChannelSums {
  int64_t count = 0;
  double total = 0, squares = 0;
  float min = 0, max = 0;
};
struct ChannelFacts {
  int64_t count = 0;
  double mean = 0, spread = 0;  // spread is the standard deviation
  float min = 0, max = 0;
};
/// One sums' worth, or several added up.
void add_sums(ChannelSums& all, const ChannelSums& part);
ChannelFacts facts_of(const ChannelSums& sums);

struct InputFacts {
  bool categorical = false;                       // integers: ids, masks
  std::vector<ChannelFacts> channels;             // of floats; of what is no image one for everything
  std::vector<std::vector<ChannelSums>> samples;  // the same of each sample
  int64_t channel_axis = -1;                      // of a unit's tensor; -1: one for everything
  /// How often each id came; ids from kMostCategories on share those below.
  std::map<int64_t, int64_t> categories;
  int64_t elements = 0;         // of a sample
  std::vector<float> contrast;  // per sample: the largest standard deviation within a channel
};
constexpr int64_t kMostCategories = 65536;

struct SetFacts {
  Selection selection;
  std::map<std::string, InputFacts> inputs;
  std::vector<uint64_t> hashes;  // per sample, of all its inputs
  std::vector<int64_t> labels;   // of samples (not units); empty when the data has none
};

/// The category an id is counted as.
int64_t category_of(int64_t id);

/// One input of one unit, added. Sums run in order: they do not depend on threads.
void add_input(InputFacts& facts, const Tensor& input);
/// `channels` out of `samples`, once every unit was added.
void finish(InputFacts& facts);

/// Reads every selected sample once, without a model. Errors: those of the data.
Result<SetFacts> read_inputs(const data::Dataset& dataset, const Selection& selection, ThreadPool& pool,
                             const Progress& progress = {});

/// Positions (in the order of looking) of samples of which every input of at least kBlankElements elements is
/// one value per channel, or has less than kBlankContrast of the contrast its set has in the median.
std::vector<int64_t> blank_samples(const SetFacts& facts);
constexpr int64_t kBlankElements = 16;
/// The flattest of 2500 photos and CIFAR images has 0.26 of the median's contrast.
constexpr float kBlankContrast = 0.05F;

/// Groups of positions with the same content, the larger first; blank samples (also alike) are left out.
std::vector<std::vector<int64_t>> duplicates(const SetFacts& facts);

}  // namespace narrow::calib
