#include "data/image.h"

#include <fmt/format.h>
#include <turbojpeg.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/file.h"

namespace narrow::data {

const char* name_of(Channels channels) {
  return channels == Channels::rgb ? "RGB" : channels == Channels::bgr ? "BGR" : "GRAY";
}

Result<Image> read_jpeg(const std::filesystem::path& path, Channels channels) {
  NARROW_TRY(const std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  const std::unique_ptr<void, int (*)(tjhandle)> decoder(tjInitDecompress(), tjDestroy);
  const auto broken = [&](std::string got) {
    return Error{.code = Code::invalid_data,
                 .subject = path.string(),
                 .expected = "a JPEG image",
                 .got = std::move(got),
                 .hint = "convert or remove the file"};
  };
  if (!decoder) return broken("no memory for a decoder");
  const auto* bytes = reinterpret_cast<const unsigned char*>(file->bytes().data());
  const auto size = static_cast<unsigned long>(file->bytes().size());
  int width = 0, height = 0, subsampling = 0, colorspace = 0;
  if (size == 0 ||
      tjDecompressHeader3(decoder.get(), bytes, size, &width, &height, &subsampling, &colorspace) != 0)
    return broken(size == 0 ? "an empty file" : tjGetErrorStr2(decoder.get()));
  if (static_cast<int64_t>(width) * height > (int64_t{1} << 28))
    return broken(fmt::format("{}x{} pixels", width, height));
  Image image{.height = height, .width = width, .channels = channels == Channels::gray ? 1 : 3, .pixels = {}};
  image.pixels.resize(static_cast<size_t>(image.height * image.width * image.channels));
  const int format = channels == Channels::rgb ? TJPF_RGB : channels == Channels::bgr ? TJPF_BGR : TJPF_GRAY;
  if (tjDecompress2(decoder.get(), bytes, size, image.pixels.data(), width, 0, height, format,
                    TJFLAG_ACCURATEDCT) != 0)
    return broken(tjGetErrorStr2(decoder.get()));
  return image;
}

namespace {

/// For one output position: the input positions it reads and their weights, which sum to 1.
struct Taps {
  int64_t first = 0;
  std::vector<float> weights;
};

std::vector<Taps> triangle_filter(int64_t in, int64_t out) {
  std::vector<Taps> taps(static_cast<size_t>(out));
  const double scale = static_cast<double>(in) / static_cast<double>(out), support = std::max(scale, 1.0);
  for (int64_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto low = std::max<int64_t>(0, static_cast<int64_t>(std::floor(center - support + 0.5)));
    const auto high = std::min(in, static_cast<int64_t>(std::floor(center + support + 0.5)));
    Taps& t = taps[static_cast<size_t>(i)];
    t.first = low;
    double sum = 0;
    for (int64_t j = low; j < high; ++j) {
      const double w = std::max(0.0, 1 - std::fabs((static_cast<double>(j) - center + 0.5) / support));
      t.weights.push_back(static_cast<float>(w));
      sum += w;
    }
    for (float& w : t.weights) w = static_cast<float>(w / sum);
  }
  return taps;
}

uint8_t to_byte(float x) { return static_cast<uint8_t>(std::clamp(x + 0.5F, 0.0F, 255.0F)); }

}  // namespace

Image resize(const Image& image, int64_t height, int64_t width) {
  if (image.height == height && image.width == width) return image;
  const int64_t c = image.channels;
  Image wide{.height = image.height,
             .width = width,
             .channels = c,
             .pixels = std::vector<uint8_t>(static_cast<size_t>(image.height * width * c))};
  const std::vector<Taps> across = triangle_filter(image.width, width),
                          down = triangle_filter(image.height, height);
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t k = 0; k < c; ++k) {
        const Taps& t = across[static_cast<size_t>(x)];
        float sum = 0;
        for (size_t j = 0; j < t.weights.size(); ++j)
          sum += t.weights[j] * static_cast<float>(image.pixels[static_cast<size_t>(
                                    (y * image.width + t.first + static_cast<int64_t>(j)) * c + k)]);
        wide.pixels[static_cast<size_t>((y * width + x) * c + k)] = to_byte(sum);
      }
  Image out{.height = height,
            .width = width,
            .channels = c,
            .pixels = std::vector<uint8_t>(static_cast<size_t>(height * width * c))};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t i = 0; i < width * c; ++i) {
      const Taps& t = down[static_cast<size_t>(y)];
      float sum = 0;
      for (size_t j = 0; j < t.weights.size(); ++j)
        sum += t.weights[j] *
               static_cast<float>(
                   wide.pixels[static_cast<size_t>((t.first + static_cast<int64_t>(j)) * width * c + i)]);
      out.pixels[static_cast<size_t>(y * width * c + i)] = to_byte(sum);
    }
  return out;
}

}  // namespace narrow::data
