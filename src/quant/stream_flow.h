// Residual streams: values that are sums of what products write and that normalisations and products read.
// All of one stream can be multiplied by one orthogonal matrix without a change of what the model computes,
// where every constant that writes it and every one that reads it takes part.
//
// A normalisation lets the matrix pass: |x R| = |x|, and with R 1 = 1 mean(x R) = mean(x). Its gamma and beta
// do not; they go into the products behind it.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"
#include "quant/norm_sites.h"

namespace narrow::quant {

/// A constant and its axis along which the stream's channels lie (negative: from the last).
struct StreamConstant {
  ir::Node* node;
  int input;
  int64_t axis;
};

struct StreamNorm {
  NormSite site;
  std::vector<StreamConstant> readers;  // weights of the products that read its result
};

struct Stream {
  int64_t channels = 0;
  std::vector<StreamConstant> writers;  // weights, tables and what is added to the stream
  std::vector<StreamConstant> readers;  // weights of products that read it as it is
  std::vector<StreamNorm> norms;
};

struct StreamLeft {
  std::string value, reason;  // the value that the first of its normalisations reads
};

struct Streams {
  std::vector<Stream> streams;
  std::vector<StreamLeft> left_alone;
};

/// Streams that normalisations read. `graph`: portable and typed.
Streams find_streams(const ir::Graph& graph);

}  // namespace narrow::quant
