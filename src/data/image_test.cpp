#include "data/image.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "base/random.h"
#include "base/test_folder.h"
#include "data/jpeg_maker.h"

namespace narrow::data {
namespace {

int largest_difference(const Image& a, const Image& b) {
  int most = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) most = std::max(most, std::abs(a.pixels[i] - b.pixels.at(i)));
  return most;
}

TEST(Jpeg, DecodesWhatWasEncoded) {
  const TestFolder folder;
  const Image original = gradient(23, 37);
  const auto file = folder.write("a.jpg", encode_jpeg(original));
  const auto rgb = read_jpeg(file, Channels::rgb), bgr = read_jpeg(file, Channels::bgr),
             gray = read_jpeg(file, Channels::gray);
  ASSERT_TRUE(rgb.ok() && bgr.ok() && gray.ok());
  EXPECT_EQ(rgb->height, 23);
  EXPECT_EQ(rgb->width, 37);
  // Quality 100: quantizer 1 in Y, Cb, Cr; three of them rounded and combined stay within 6 levels.
  EXPECT_LE(largest_difference(*rgb, original), 6);
  ASSERT_EQ(gray->channels, 1);
  for (size_t p = 0; p < gray->pixels.size(); ++p) {
    for (size_t c = 0; c < 3; ++c) EXPECT_EQ(bgr->pixels[3 * p + c], rgb->pixels[3 * p + 2 - c]);
    const auto* x = &original.pixels[3 * p];
    EXPECT_NEAR(gray->pixels[p], 0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2], 6);  // BT.601 luma, as JFIF says
  }
}

TEST(Jpeg, GrayFilesBecomeRgb) {
  const TestFolder folder;
  const Image gray{.height = 8, .width = 8, .channels = 1, .pixels = std::vector<uint8_t>(64, 77)};
  const auto rgb = read_jpeg(folder.write("g.jpg", encode_jpeg(gray)), Channels::rgb);
  ASSERT_TRUE(rgb.ok());
  EXPECT_EQ(rgb->channels, 3);
  for (const uint8_t v : rgb->pixels) EXPECT_NEAR(v, 77, 1);
}

TEST(Jpeg, BrokenFilesAreErrors) {
  const TestFolder folder;
  const std::string whole = encode_jpeg(gradient(16, 16));
  for (size_t length = 0; length + 2 < whole.size(); ++length) {  // the last two bytes are the end marker
    const auto image = read_jpeg(folder.write("cut.jpg", whole.substr(0, length)), Channels::rgb);
    ASSERT_FALSE(image.ok()) << length << " of " << whole.size();
    EXPECT_EQ(image.error().code, Code::invalid_data);
  }
  EXPECT_EQ(read_jpeg(folder.write("x.jpg", "no image"), Channels::rgb).error().code, Code::invalid_data);
  EXPECT_EQ(read_jpeg(folder / "missing.jpg", Channels::rgb).error().code, Code::not_found);
  for (size_t at = 0; at < whole.size(); at += 3) {
    std::string broken = whole;
    broken[at] = static_cast<char>(broken[at] ^ 0x55);
    (void)read_jpeg(folder.write("flip.jpg", broken), Channels::rgb).ok();
  }
}

/// One axis by the definition: every input pixel weighs max(0, 1 - |distance| / support), weights sum to 1.
std::vector<double> naive_line(const std::vector<double>& in, int64_t out) {
  const double scale = static_cast<double>(in.size()) / static_cast<double>(out),
               support = std::max(1.0, scale);
  std::vector<double> result;
  for (int64_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    double sum = 0, weights = 0;
    for (size_t j = 0; j < in.size(); ++j) {
      const double w = std::max(0.0, 1 - std::fabs(static_cast<double>(j) + 0.5 - center) / support);
      sum += w * in[j], weights += w;
    }
    result.push_back(std::floor(sum / weights + 0.5));
  }
  return result;
}

Image naive_resize(const Image& image, int64_t height, int64_t width) {
  const auto size = [](int64_t n) { return static_cast<size_t>(n); };
  const size_t c = size(image.channels);
  std::vector<uint8_t> wide(size(image.height * width) * c), out(size(height * width) * c);
  for (size_t y = 0; y < size(image.height); ++y)
    for (size_t k = 0; k < c; ++k) {
      std::vector<double> row;
      for (size_t x = 0; x < size(image.width); ++x)
        row.push_back(image.pixels[(y * size(image.width) + x) * c + k]);
      const auto line = naive_line(row, width);
      for (size_t x = 0; x < line.size(); ++x)
        wide[(y * size(width) + x) * c + k] = static_cast<uint8_t>(line[x]);
    }
  for (size_t i = 0; i < size(width) * c; ++i) {
    std::vector<double> column;
    for (size_t y = 0; y < size(image.height); ++y) column.push_back(wide[y * size(width) * c + i]);
    const auto line = naive_line(column, height);
    for (size_t y = 0; y < line.size(); ++y) out[y * size(width) * c + i] = static_cast<uint8_t>(line[y]);
  }
  return {.height = height, .width = width, .channels = image.channels, .pixels = out};
}

TEST(Resize, MatchesTheDefinition) {
  Random random(8);
  for (const auto& [h, w, to_h, to_w] : {std::tuple{7, 9, 7, 9},
                                         {7, 9, 14, 18},
                                         {16, 12, 5, 3},
                                         {31, 17, 10, 40},
                                         {1, 1, 4, 5},
                                         {9, 9, 1, 1},
                                         {50, 3, 7, 3}})
    for (const int64_t channels : {1, 3}) {
      Image image{.height = h, .width = w, .channels = channels, .pixels = {}};
      for (int64_t i = 0; i < h * w * channels; ++i)
        image.pixels.push_back(static_cast<uint8_t>(random.integer(0, 255)));
      const Image got = resize(image, to_h, to_w), wanted = naive_resize(image, to_h, to_w);
      ASSERT_EQ(got.pixels.size(), wanted.pixels.size());
      EXPECT_EQ(got.height, to_h);
      // Float weights against doubles: a byte may round the other way at a half, in either pass.
      EXPECT_LE(largest_difference(got, wanted), 1) << h << "x" << w << " to " << to_h << "x" << to_w;
      int64_t other = 0;
      for (size_t i = 0; i < got.pixels.size(); ++i) other += got.pixels[i] != wanted.pixels[i];
      EXPECT_LE(other * 50, static_cast<int64_t>(got.pixels.size()) + 49);
    }
}

TEST(Resize, ConstantsStayConstant) {
  for (const uint8_t v : {uint8_t{0}, uint8_t{128}, uint8_t{255}}) {
    const Image image{.height = 13, .width = 7, .channels = 3, .pixels = std::vector<uint8_t>(13 * 7 * 3, v)};
    for (const auto& [h, w] : {std::pair{5, 20}, {40, 3}, {13, 8}})
      EXPECT_EQ(resize(image, h, w).pixels, std::vector<uint8_t>(static_cast<size_t>(h * w * 3), v));
  }
}

}  // namespace
}  // namespace narrow::data
