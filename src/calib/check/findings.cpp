// What the figures of a data check mean, in sentences.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "calib/check/data_check.h"

namespace narrow::calib {
namespace {

/// "a.jpg, b.jpg, c.jpg and 12 more"
std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t kShown = 3;
  std::string text;
  for (size_t i = 0; i < std::min(kShown, names.size()); ++i) text += (i > 0 ? ", " : "") + names[i];
  return names.size() > kShown ? fmt::format("{} and {} more", text, names.size() - kShown) : text;
}

std::string percent(double share) { return fmt::format("{:.{}f} %", 100 * share, share < 0.0995 ? 1 : 0); }

double share_of(size_t part, int64_t all) {
  return all > 0 ? static_cast<double>(part) / static_cast<double>(all) : 0;
}

/// The mean over channels.
double centre(const InputFacts& facts) {
  double sum = 0;
  for (const ChannelFacts& channel : facts.channels) sum += channel.mean;
  return sum / static_cast<double>(std::max<size_t>(1, facts.channels.size()));
}

class Findings {
 public:
  Findings(const DataCheck& check, const data::DatasetInfo& calibration, const data::DatasetInfo& evaluation)
      : check_(check), calibration_(calibration), evaluation_(evaluation) {}

  std::vector<Finding> all() {
    descriptions();
    blanks();
    scales();
    not_finite();
    duplicates();
    // What a blank, mis-scaled or repeated set shows of classes and colours is a consequence.
    if (!is_spoilt_ && !is_repeated_) {
      classes();
      variety();
    }
    if (!is_spoilt_) channel_order();
    values();
    shared();
    outliers();
    convergence();
    std::stable_partition(found_.begin(), found_.end(), [](const Finding& f) { return f.fails; });
    return std::move(found_);
  }

 private:
  void fail(const char* kind, std::string sentence, std::string remedy) {
    found_.push_back({kind, std::move(sentence), std::move(remedy), true});
  }
  void note(const char* kind, std::string sentence, std::string remedy = "") {
    found_.push_back({kind, std::move(sentence), std::move(remedy), false});
  }

  void descriptions();
  void blanks();
  void scales();
  void not_finite();
  void duplicates();
  void classes();
  void variety();
  void channel_order();
  void values();
  void drawn_otherwise();
  void shared();
  void outliers();
  void convergence();
  bool says(const char* kind) const {
    return std::any_of(found_.begin(), found_.end(), [&](const Finding& f) { return f.kind == kind; });
  }

  const DataCheck& check_;
  const data::DatasetInfo &calibration_, &evaluation_;
  bool is_spoilt_ = false, is_repeated_ = false;
  std::vector<Finding> found_;
};

void Findings::descriptions() {
  if (!calibration_.pixels || !evaluation_.pixels) return;
  for (const std::string& difference : description_differences(*calibration_.pixels, *evaluation_.pixels)) {
    const bool order = difference.starts_with("channels");
    fail(
        order ? "channel_order" : "scale",
        fmt::format("The descriptions differ: {} (calibration against evaluation).", difference),
        order
            ? "Give both dataset.toml the same 'channels', the order the model was trained on."
            : "Give both dataset.toml the same 'scale', 'mean' and 'std', those the model was trained with.");
    is_spoilt_ = is_spoilt_ || !order;
  }
}

void Findings::blanks() {
  // A few blank samples change no range; a share that evaluation does not have is no accident.
  constexpr double kBlankShare = 0.05;
  const auto &mine = check_.calibration, &theirs = check_.evaluation;
  const double share = share_of(mine.blank.size(), mine.looked_at),
               usual = share_of(theirs.blank.size(), theirs.looked_at);
  if (share > std::max(kBlankShare, 3 * usual)) {
    fail("blank",
         fmt::format("Calibration is blank: {} of {} samples hold one value per channel, or nearly ({}).",
                     mine.blank.size(), mine.looked_at, some_of(mine.blank)),
         "Look at these samples and at what reads them; calibrate on real ones.");
    is_spoilt_ = is_spoilt_ || share > 0.5;
  } else if (!mine.blank.empty()) {
    note("blank", fmt::format("{} of {} calibration samples are blank: {}.", mine.blank.size(),
                              mine.looked_at, some_of(mine.blank)));
  }
  if (!theirs.blank.empty())
    note("blank", fmt::format("{} of {} evaluation samples are blank: {}.", theirs.blank.size(),
                              theirs.looked_at, some_of(theirs.blank)));
}

void Findings::scales() {
  const bool all_blank = is_spoilt_ && says("blank");
  for (const auto& [name, relation] : check_.scales) {
    if (!relation.is_off || all_blank) continue;
    is_spoilt_ = true;
    const std::string subject =
        fmt::format("Calibration is scaled otherwise than evaluation at input '{}': ", name);
    const auto [least, most] = std::minmax_element(relation.factor.begin(), relation.factor.end());
    const std::string factor = *most < 1.05 * *least ? fmt::format("{:.4g}", *least)
                                                     : fmt::format("{:.4g} to {:.4g}", *least, *most);
    const std::string explained =
        relation.calibration.empty()
            ? ""
            : fmt::format("{} against {}; ", relation.calibration, relation.evaluation);
    fail("scale",
         fmt::format("{}{}evaluation spreads {} times as wide, around {:.4g} instead of {:.4g}.", subject,
                     explained, factor, centre(check_.evaluation.inputs.at(name)),
                     centre(check_.calibration.inputs.at(name))),
         "Prepare calibration exactly as the model's inputs are in production: check scale, mean and std.");
  }
}

void Findings::not_finite() {
  if (check_.not_finite.empty()) return;
  is_spoilt_ = true;
  fail("not_finite", fmt::format("The model gives no numbers: {}.", check_.not_finite),
       "Check the data's scale, mean and std first.");
}

void Findings::duplicates() {
  const int64_t copies = check_.calibration.copies(), all = check_.calibration.looked_at;
  if (copies == 0) return;
  std::vector<std::string> largest = check_.calibration.duplicates.front();
  const std::string sentence =
      fmt::format("Calibration repeats itself: of {} samples only {} differ ({} are the same).", all,
                  all - copies, some_of(largest));
  // Copies add nothing: with more of them than others the set is less than half as large as it looks.
  if (2 * copies > all) {
    fail("duplicates", sentence, "Calibrate on different samples.");
    is_repeated_ = true;
  } else {
    note("duplicates", sentence);
  }
}

void Findings::classes() {
  const auto say = [&](const ClassDiversity& d, const char* what, const char* verb) {
    const bool one = d.top_share > 0.5;
    fail("few_classes",
         fmt::format(
             "Calibration shows {}: {} of its samples {} class {} (evaluation: {}); {} are worth {:.1f} "
             "classes of equal size, as many evaluation samples {:.1f}.",
             one ? "mostly one class" : "few classes", percent(d.top_share), verb, d.top_class,
             percent(d.top_share_evaluation), what, d.calibration, d.evaluation),
         "Draw calibration samples from all classes, as production does.");
  };
  if (check_.labels && check_.labels->is_poor)
    say(*check_.labels, "their labels", "are labelled");
  else if (check_.answers && check_.answers->is_poor)
    say(*check_.answers, "the model's answers", "are answered");
}

void Findings::variety() {
  if (!check_.variety || !check_.variety->is_poor || says("few_classes")) return;
  fail("alike_samples",
       fmt::format("Calibration samples are much alike: the model's answers vary {:.2g} times as much as on "
                   "evaluation.",
                   check_.variety->ratio),
       "Draw calibration samples from everything production sees, not from one scene, class or moment.");
}

void Findings::channel_order() {
  if (!check_.channels || says("channel_order")) return;
  const ChannelOrder& o = *check_.channels;
  if (o.is_reversed)
    return fail(
        "channel_order",
        fmt::format("Calibration has its colour channels in the other order (BGR instead of RGB or the "
                    "reverse): with them exchanged, {} of {} samples act on the model as evaluation does, "
                    "by chance once in {:.0f}.",
                    o.reversed, o.samples, 1 / std::max(o.chance, 1e-12)),
        "Give calibration the order of channels that evaluation has ('channels' in dataset.toml).");
  constexpr double kPowerful = 0.9;
  if (o.power < kPowerful)
    note("channel_order",
         fmt::format("Whether calibration has its colour channels in evaluation's order cannot be "
                     "told: {} samples would show an exchange with {} probability only.",
                     o.samples, percent(o.power)));
}

void Findings::values() {
  // One value in twenty, and never one or two alone: each has its own chance of being unlucky.
  constexpr double kValueShare = 0.05;
  constexpr size_t kFewValues = 2;
  std::vector<std::string> differ, narrow, wide;
  int64_t layers = 0;
  for (const ValueComparison& v : check_.values) {
    const bool off = v.verdict != ValueVerdict::alike && v.verdict != ValueVerdict::shifted;
    if (v.is_input && off)
      fail("input_differs",
           fmt::format(
               "Input '{}' {}: PSI {:.3f} (limit {:.2f}, chance {:.3f}), KS {:.3f}, range costs {:.1f} dB "
               "(limit {:.0f}, chance {:.1f}).",
               v.name, v.verdict == ValueVerdict::differs ? "differs" : to_string(v.verdict), v.psi,
               kPsiDiffers, v.psi_noise, v.ks, v.loss_db, kLossLimitDb, v.loss_noise_db),
           "Draw calibration samples as evaluation's are drawn.");
    if (v.is_input) continue;
    ++layers;
    if (v.verdict == ValueVerdict::differs) differ.push_back(v.name);
    if (v.verdict == ValueVerdict::too_narrow) narrow.push_back(v.name);
    if (v.verdict == ValueVerdict::too_wide) wide.push_back(v.name);
  }
  const auto say = [&](const char* kind, const std::vector<std::string>& names, const std::string& what) {
    if (names.empty()) return;
    const std::string sentence =
        fmt::format("{} of {} values {}: {}.", names.size(), layers, what, some_of(names));
    if (names.size() > kFewValues && share_of(names.size(), layers) > kValueShare)
      fail(kind, sentence, "Draw calibration samples as evaluation's are drawn.");
    else
      note(kind, sentence);
  };
  say("values_differ", differ, "are distributed otherwise than in evaluation");
  say("ranges_differ", narrow, "leave the range that calibration chooses, which costs half a bit or more");
  say("ranges_differ", wide, "get a range much wider than evaluation needs, which costs half a bit or more");
  drawn_otherwise();
}

/// Many values apart by more than chance, none by much: another source, and so far no harm.
void Findings::drawn_otherwise() {
  constexpr double kManyValues = 0.2;
  double most = 0;
  size_t beyond = 0;
  for (const ValueComparison& v : check_.values) {
    beyond += v.psi > v.psi_noise ? 1 : 0;
    most = std::max(most, v.psi);
  }
  if (found_.end() != std::find_if(found_.begin(), found_.end(), [](const Finding& f) { return f.fails; }))
    return;
  if (share_of(beyond, static_cast<int64_t>(check_.values.size())) > kManyValues)
    note("drawn_otherwise",
         fmt::format("Calibration is drawn otherwise than evaluation: {} of {} values are further apart than "
                     "chance puts them, though not by much (PSI {:.3f} at most).",
                     beyond, check_.values.size(), most));
}

void Findings::shared() {
  if (check_.shared_samples > 0)
    note("shared_samples",
         fmt::format("{} of {} evaluation samples are calibration samples, too: figures on them flatter.",
                     check_.shared_samples, check_.evaluation.looked_at),
         "Evaluate on samples that calibration has not seen.");
}

void Findings::outliers() {
  const auto say = [&](const SetReport& set, const char* which) {
    std::vector<std::string> names;
    for (const NamedOutlier& outlier : set.outliers) names.push_back(outlier.name);
    if (!names.empty())
      note("outliers", fmt::format("{} of {} {} samples are far from the rest: {}.", names.size(),
                                   set.looked_at, which, some_of(names)));
  };
  say(check_.calibration, "calibration");
  say(check_.evaluation, "evaluation");
}

void Findings::convergence() {
  const Convergence& c = check_.convergence;
  if (c.steps.empty()) return;
  const int64_t all = c.steps.back().samples;
  if (c.still_grows)
    note("too_few_samples",
         fmt::format(
             "Ranges still move: the second half of {} calibration samples moved 5 % of them by more than "
             "{}.",
             all, percent(kConverged)),
         "Take twice as many.");
  else
    note("enough_samples", fmt::format("{} calibration samples; {} would have done.", all, c.enough));
}

}  // namespace

std::vector<Finding> findings_of(const DataCheck& check, const data::DatasetInfo& calibration,
                                 const data::DatasetInfo& evaluation) {
  return Findings(check, calibration, evaluation).all();
}

}  // namespace narrow::calib
