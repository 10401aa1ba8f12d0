// The checker itself: a candidate that is wrong is caught, whatever it does wrong, and its case shrinks.
#include "kernel_cases/check.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "kernel_cases/draw.h"
#include "kernel_cases/shrink.h"

namespace narrow::kernel_cases {
namespace {

using Spoil = std::function<void(const Problem&, const Memory&, const ThreadPool&)>;

/// The problem of a case with one candidate: the first plain one that takes it, then `spoil`.
Problem with_defect(const Case& c, const Spoil& spoil) {
  Problem p = c.family->pose(c);
  std::erase_if(p.candidates, [](const Candidate& k) { return k.isa != Isa::plain || !k.refusal.empty(); });
  EXPECT_FALSE(p.candidates.empty());
  p.candidates.resize(1);
  p.candidates[0].prepare = [right = p.candidates[0].prepare, spoil,
                             problem = c.family->pose(c)](int threads) {
    PreparedKernel kernel = right(threads);
    kernel.run = [run = kernel.run, spoil, problem](const Memory& memory, ThreadPool& pool) {
      run(memory, pool);
      spoil(problem, memory, pool);
    };
    return kernel;
  };
  return p;
}

std::string wrong_of(const Case& c, const Spoil& spoil) {
  static Teams teams;
  Problem p = with_defect(c, spoil);
  return check(p, 2, teams).front().wrong;
}

Case parsed(std::string_view line) { return *parse_case(line); }

const char* const kBytes =
    "conv src=u8 weights=s8 dst=u8 dst_zero=128 h=9 w=9 c=40 oc=40 kernel=3x3 pad=1x1 seed=3";

/// One step off in channel 16, as a kernel would be whose second vector of channels is wrong.
void second_vector(const Problem& p, const Memory& memory, const ThreadPool&) {
  const Output& o = p.outputs[0];
  if (o.format.type != DType::u8 || o.extents[3] <= 16) return;
  for (int64_t i = 16; i < o.count(); i += o.extents[3]) static_cast<uint8_t*>(memory.out[0])[i] ^= 1;
}

TEST(Check, RightCandidatesAgree) {
  EXPECT_EQ(wrong_of(parsed(kBytes), [](const Problem&, const Memory&, const ThreadPool&) {}), "");
}

TEST(Check, NamesTheFirstWrongElement) {
  EXPECT_THAT(wrong_of(parsed(kBytes), second_vector),
              testing::MatchesRegex(R"(dst\[0,0,0,16\]: expected [0-9]+, got [0-9]+, on 1 thread)"));
}

TEST(Check, SeesWhatDependsOnThreads) {
  const auto spoil = [](const Problem&, const Memory& memory, const ThreadPool& pool) {
    if (pool.threads() > 1) static_cast<uint8_t*>(memory.out[0])[5] ^= 1;
  };
  EXPECT_THAT(wrong_of(parsed(kBytes), spoil), testing::HasSubstr("on 2 threads and not as on 1 thread"));
}

TEST(Check, SeesWhatGoesWrongInPlace) {
  const auto spoil = [](const Problem&, const Memory& memory, const ThreadPool&) {
    if (memory.in[1] == memory.out[0]) static_cast<uint8_t*>(memory.out[0])[5] ^= 1;
  };
  EXPECT_THAT(wrong_of(parsed(fmt::format("{} residual=u8", kBytes)), spoil),
              testing::HasSubstr("in place and not as on 1 thread"));
}

TEST(Check, SeesAWriteBeforeTheOutput) {
  const auto spoil = [](const Problem&, const Memory& memory, const ThreadPool&) {
    static_cast<uint8_t*>(memory.out[0])[-1] = 0;
  };
  EXPECT_THAT(wrong_of(parsed(kBytes), spoil), testing::HasSubstr("dst: expected nothing before it written"));
}

TEST(CheckDeathTest, AReadOrWriteBeyondAnOperandCrashes) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto write = [](const Problem& p, const Memory& memory, const ThreadPool&) {
    static_cast<uint8_t*>(memory.out[0])[p.outputs[0].bytes()] = 0;
  };
  const auto read = [](const Problem& p, const Memory& memory, const ThreadPool&) {
    static_cast<uint8_t*>(memory.out[0])[0] = static_cast<const uint8_t*>(memory.in[0])[p.inputs[0].size()];
  };
  const auto spoil_input = [](const Problem&, const Memory& memory, const ThreadPool&) {
    *static_cast<uint8_t*>(const_cast<void*>(memory.in[0])) = 0;
  };
  EXPECT_DEATH(wrong_of(parsed(kBytes), write), "");
  EXPECT_DEATH(wrong_of(parsed(kBytes), read), "");
  EXPECT_DEATH(wrong_of(parsed(kBytes), spoil_input), "");
}

/// A float that is off by ten times its bound in one element is caught, one within it is not.
TEST(Check, HoldsFloatsToTheirBounds) {
  const Case c = parsed("conv h=5 w=5 c=30 oc=20 kernel=3x3 pad=1x1 bias");
  const auto off_by = [](float times) {
    return [times](const Problem& posed, const Memory& memory, const ThreadPool&) {
      Problem p = posed;
      p.solve(p);
      float& x = static_cast<float*>(memory.out[0])[123];
      x = p.outputs[0].real[123] + times * p.outputs[0].bounds[0][123];
    };
  };
  EXPECT_EQ(wrong_of(c, off_by(0.9F)), "");
  EXPECT_THAT(wrong_of(c, off_by(10)), testing::HasSubstr("dst[0,1,1,3]: expected"));
}

TEST(Shrink, LeavesWhatTheDefectNeedsAndLittleElse) {
  const auto fails = [](const Case& c) { return !wrong_of(c, second_vector).empty(); };
  const Case start = parsed(
      "conv src=u8 src_zero=3 weights=s8 per_channel dst=u8 dst_zero=128 n=2 h=13 w=11 c=24 oc=36 kernel=3x2 "
      "stride=2x1 pad=1x1 out=6x10 dilation=1x2 groups=2 bias residual=f16 act=relu values=extreme seed=99");
  ASSERT_TRUE(fails(start));
  const Case small = shrink(start, fails);
  EXPECT_TRUE(fails(small)) << text(small);
  EXPECT_EQ(small.size("oc"), 17) << text(small);
  EXPECT_EQ(small.size("c"), 1) << text(small);
  EXPECT_EQ(small.height("kernel") * small.width("kernel") * small.size("groups"), 1) << text(small);
  EXPECT_EQ(small.size("n") * small.height("out") * small.width("out"), 1) << text(small);
  EXPECT_FALSE(small.flag("bias")) << text(small);
}

/// Every candidate of every family takes some of the cases that the generator draws, whatever the best of the
/// machine.
TEST(Draw, ReachesEveryCandidate) {
  std::map<std::string, int> taken;
  for (const Family& family : families()) {
    for (const Listed& listed : family.candidates()) taken[listed.name] = 0;
    for (int64_t i = 0; i < 600; ++i) {
      Dice dice = dice_of(1, i);
      const Case c = draw_case(dice, &family);
      ASSERT_EQ(family.invalid(c), "") << text(c);
      for (const Candidate& candidate : family.pose(c).candidates)
        if (const auto counted = taken.find(candidate.name); counted != taken.end())
          counted->second += candidate.refusal.empty();
    }
  }
  for (const auto& [candidate, count] : taken) EXPECT_GT(count, 0) << candidate;
}

TEST(Draw, BytesSteerWhatIsDrawn) {
  const std::vector<uint8_t> bytes = {1, 2, 3, 4, 5, 6, 7, 8}, others = {9, 2, 3, 4, 5, 6, 7, 8};
  Dice one{bytes}, same{bytes}, other{others};
  const Case c = draw_case(one);
  EXPECT_EQ(c, draw_case(same));
  EXPECT_FALSE(c == draw_case(other));
}

}  // namespace
}  // namespace narrow::kernel_cases
