#include "base/printable.h"

#include <gtest/gtest.h>

#include <array>

#include "base/error.h"
#include "base/json_text.h"
#include "base/random.h"

namespace narrow {
namespace {

TEST(Printable, LeavesTextAlone) {
  for (const char* text : {"", "conv1/weights:0", "höhe 高さ ━ 😀", "\\x41 \"quoted\""}) {
    EXPECT_TRUE(is_utf8(text));
    EXPECT_EQ(as_utf8(text), text);
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, EscapesBytesThatAreNoUtf8) {
  EXPECT_EQ(printable("a\xff\xfe"), "a\\xff\\xfe");
  EXPECT_EQ(printable("\xc3"), "\\xc3");                             // cut short
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");                    // overlong '/'
  EXPECT_EQ(printable("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");           // overlong
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  EXPECT_EQ(printable("\xc3\x28"), "\\xc3(");                        // the next character survives
  EXPECT_EQ(as_utf8("\xff\n"), "\\xff\n");
}

TEST(Printable, EscapesControlCharacters) {
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("\x1b[31mred\x7f\r\n\t"), "\\x1b[31mred\\x7f\\x0d\\x0a\\x09");
  EXPECT_EQ(printable("a\nb\tc", "\n"), "a\nb\\x09c");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");           // C1: begins a sequence for terminals
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\xe2\\x80\\xae");  // right-to-left override
}

/// The verdict on every sequence of up to three bytes, against nlohmann's strict encoder.
TEST(Printable, AgreesWithTheJsonEncoder) {
  const auto json_takes = [](const std::string& text) {
    return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace).find("\xef\xbf\xbd") ==
           std::string::npos;
  };
  for (int a = 0; a < 256; ++a)
    for (int b = 0; b < 256; ++b) {
      const std::string two = {static_cast<char>(a), static_cast<char>(b)};
      ASSERT_EQ(is_utf8(two), json_takes(two)) << a << ' ' << b;
    }
  Random random(11);
  constexpr std::array kEdges = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1,
                                 0xc2, 0xdf, 0xe0, 0xed, 0xee, 0xf0, 0xf1, 0xf4, 0xf5, 0xff};
  for (int round = 0; round < 50000; ++round) {
    std::string text;
    for (int i = 0; i < 4; ++i)
      text += static_cast<char>(kEdges[static_cast<size_t>(random.integer(0, std::ssize(kEdges) - 1))]);
    if (text.find("\xef\xbf\xbd") != std::string::npos) continue;
    ASSERT_EQ(is_utf8(text), json_takes(text));
    ASSERT_TRUE(is_utf8(as_utf8(text)));
  }
}

TEST(Printable, ErrorMessagesAre) {
  const Error error{Code::invalid_model, "node '\x1b[2J\xff'", "a\nb", "\x07", "hint"};
  EXPECT_EQ(error.message(), "node '\\x1b[2J\\xff': expected a\\x0ab, got \\x07 (hint)");
}

TEST(Json, NestingIsLimited) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(parse_json(nested(kMostJsonDepth), "x").ok());
  EXPECT_FALSE(parse_json(nested(kMostJsonDepth + 1), "x").ok());
  EXPECT_FALSE(parse_json(nested(1000000), "x").ok());
  EXPECT_TRUE(parse_json("[\"" + std::string(1000, '[') + "\\\"[\"]", "x").ok());
  for (const char* text : {"", "{", "\"", "\"\\", "{\"a\":}"})
    EXPECT_FALSE(parse_json(text, "x").ok()) << text;
}

TEST(Json, MembersOfWhatHasAnotherFormAreNull) {
  const Json json = {{"text", "a"}, {"number", 1}};
  EXPECT_EQ(member(json, "number"), 1);
  EXPECT_TRUE(member(json, "none").is_null());
  EXPECT_EQ(text_member(json, "text"), "a");
  EXPECT_EQ(text_member(json, "number"), "");
  for (const Json& other : {Json(), Json(1), Json("text"), Json::array({1})}) {
    EXPECT_TRUE(member(other, "text").is_null());
    EXPECT_EQ(text_member(other, "text"), "");
  }
}

TEST(Json, IsAlwaysWritten) {
  const Json json = {{"name\xff", "\xfe\n"}};
  EXPECT_EQ(json_text(json), "{\"name\xef\xbf\xbd\":\"\xef\xbf\xbd\\n\"}");
}

}  // namespace
}  // namespace narrow
