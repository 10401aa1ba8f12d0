#include "pipeline/mix_memory.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/test_folder.h"

namespace narrow::pipeline {
namespace {

std::filesystem::path only_file(const std::filesystem::path& folder) {
  const std::filesystem::directory_iterator files(folder);
  return files->path();
}

TEST(MixMemory, WhatWasAddedIsThereNextTime) {
  const TestFolder folder;
  {
    MixMemory memory(folder.path(), "model a");
    EXPECT_EQ(memory.find("noise"), nullptr);
    memory.add("noise", 0.25);
    ASSERT_NE(memory.find("noise"), nullptr);
    EXPECT_EQ(memory.recalled(), 0);  // its own
  }
  {
    MixMemory memory(folder.path(), "model a");
    memory.add("trial", {{"holds", true}});  // what it did not ask for stays
  }
  MixMemory memory(folder.path(), "model a");
  ASSERT_NE(memory.find("noise"), nullptr);
  EXPECT_EQ(*memory.find("noise"), 0.25);
  EXPECT_TRUE(memory.find("trial")->at("holds").get<bool>());
  EXPECT_EQ(memory.recalled(), 2);  // two questions, one of them asked twice
}

TEST(MixMemory, AnotherModelKnowsNothing) {
  const TestFolder folder;
  MixMemory(folder.path(), "model a").add("noise", 1);
  EXPECT_EQ(MixMemory(folder.path(), "model b").find("noise"), nullptr);
  EXPECT_EQ(MixMemory({}, "model a").find("noise"), nullptr);
}

TEST(MixMemory, ADamagedOrForeignFileIsAnEmptyOne) {
  const TestFolder folder;
  MixMemory(folder.path(), "model a").add("noise", 1);
  const auto file = only_file(folder.path());
  for (const char* text : {"{\"about\": \"model a\", \"answers\": {\"noise\"", "[]",
                           "{\"about\": \"model b\", \"answers\": {\"noise\": 1}}",
                           "{\"about\": \"model a\", \"answers\": [1]}"}) {
    std::ofstream(file) << text;
    MixMemory memory(folder.path(), "model a");
    EXPECT_EQ(memory.find("noise"), nullptr) << text;
    memory.add("noise", 2);
    EXPECT_EQ(*MixMemory(folder.path(), "model a").find("noise"), 2) << text;
  }
}

}  // namespace
}  // namespace narrow::pipeline
