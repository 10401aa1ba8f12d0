// regressions.txt, line by line; and some hundred random cases, the same in every run.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "kernel_cases/check.h"
#include "kernel_cases/draw.h"

namespace narrow::kernel_cases {
namespace {

std::string all_wrong(const std::vector<Verdict>& verdicts) {
  std::string said;
  for (const Verdict& v : verdicts)
    if (!v.wrong.empty()) said += v.candidate + ": " + v.wrong + "\n";
  return said;
}

std::vector<std::string> lines() {
  std::ifstream file(NARROW_SOURCE_DIR "/src/kernel_cases/regressions.txt");
  std::vector<std::string> list;
  for (std::string line; std::getline(file, line);)
    if (!line.empty() && line[0] != '#') list.push_back(line);
  return list;
}

/// The case behind "differs: " or "crashes: ".
Result<Case> case_behind(const std::string& line, const std::string& mark) {
  return parse_case(std::string_view(line).substr(line.rfind(mark, 0) == 0 ? mark.size() : 0));
}

void check_in_a_team(const Case& c) {
  Teams teams;
  check(c, teams);
}

TEST(RegressionsDeathTest, EveryLineDoesWhatItSays) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  ASSERT_FALSE(lines().empty());
  Teams teams;
  for (const std::string& line : lines()) {
    SCOPED_TRACE(line);
    const bool differs = line.rfind("differs: ", 0) == 0, crashes = line.rfind("crashes: ", 0) == 0;
    const Result<Case> c = case_behind(line, crashes ? "crashes: " : "differs: ");
    ASSERT_TRUE(c.ok()) << c.error().message();
    if (crashes) {
      if (usable_isa() == Isa::plain) continue;  // none of these is plain
      EXPECT_DEATH(check_in_a_team(*c), "") << "mended: take the mark off the line";
    } else if (differs) {
      EXPECT_TRUE(any_wrong(check(*c, teams))) << "mended: take the mark off the line";
    } else {
      EXPECT_EQ(all_wrong(check(*c, teams)), "");
    }
  }
}

TEST(Fuzz, CandidatesOfEveryFamilyAgree) {
  Teams teams;
  for (const Family& family : families())
    for (int64_t i = 0; i < (family.name == "conv" ? 400 : 60); ++i) {
      Dice dice = dice_of(20250101, i);
      const Case c = draw_case(dice, &family);
      ASSERT_EQ(all_wrong(check(c, teams)), "") << "once more: narrow-kernels check '" << text(c) << "'";
    }
}

}  // namespace
}  // namespace narrow::kernel_cases
