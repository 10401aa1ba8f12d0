// For tests: JPEG files of known pixels.
#pragma once

#include <turbojpeg.h>

#include <string>

#include "data/image.h"

namespace narrow::data {

/// Quality 100, no chroma subsampling: what is decoded is within a few levels of `image` where it is smooth.
inline std::string encode_jpeg(const Image& image) {
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  const tjhandle encoder = tjInitCompress();
  tjCompress2(encoder, image.pixels.data(), static_cast<int>(image.width), 0, static_cast<int>(image.height),
              image.channels == 1 ? TJPF_GRAY : TJPF_RGB, &bytes, &size,
              image.channels == 1 ? TJSAMP_GRAY : TJSAMP_444, 100, TJFLAG_ACCURATEDCT);
  std::string jpeg(reinterpret_cast<const char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(encoder);
  return jpeg;
}

/// Red grows down, green to the right, blue is constant.
inline Image gradient(int64_t height, int64_t width) {
  Image image{.height = height, .width = width, .channels = 3, .pixels = {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (const int64_t v : {y * 200 / height + 20, x * 200 / width + 20, int64_t{90}})
        image.pixels.push_back(static_cast<uint8_t>(v));
  return image;
}

}  // namespace narrow::data
