// GOP/s (two per multiply-add) of every candidate on the layers of ResNet-50, MobileNetV2 and MiniLM at
// batch 1.
//   narrow_kernels_bench --benchmark_filter='conv_f32_avx512/.*/threads:2'
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/random.h"
#include "kernels/conv/conv.h"

namespace narrow::kernels {
namespace {

struct Layer {
  const char* name;
  int64_t size, c, oc, kernel, stride, groups;
};

// size: of the input's side; padding keeps size / stride.
constexpr Layer kLayers[] = {{"resnet50_stem", 224, 3, 64, 7, 2, 1},
                             {"resnet50_1_reduce", 56, 256, 64, 1, 1, 1},
                             {"resnet50_1_3x3", 56, 64, 64, 3, 1, 1},
                             {"resnet50_1_expand", 56, 64, 256, 1, 1, 1},
                             {"resnet50_2_down", 56, 256, 512, 1, 2, 1},
                             {"resnet50_2_3x3s2", 56, 128, 128, 3, 2, 1},
                             {"resnet50_2_reduce", 28, 512, 128, 1, 1, 1},
                             {"resnet50_2_3x3", 28, 128, 128, 3, 1, 1},
                             {"resnet50_2_expand", 28, 128, 512, 1, 1, 1},
                             {"resnet50_3_down", 28, 512, 1024, 1, 2, 1},
                             {"resnet50_3_reduce", 14, 1024, 256, 1, 1, 1},
                             {"resnet50_3_3x3", 14, 256, 256, 3, 1, 1},
                             {"resnet50_3_expand", 14, 256, 1024, 1, 1, 1},
                             {"resnet50_4_down", 14, 1024, 2048, 1, 2, 1},
                             {"resnet50_4_reduce", 7, 2048, 512, 1, 1, 1},
                             {"resnet50_4_3x3", 7, 512, 512, 3, 1, 1},
                             {"resnet50_4_expand", 7, 512, 2048, 1, 1, 1},
                             {"resnet50_fc", 1, 2048, 1000, 1, 1, 1},
                             {"mobilenetv2_stem", 224, 3, 32, 3, 2, 1},
                             {"mobilenetv2_dw112", 112, 32, 32, 3, 1, 32},
                             {"mobilenetv2_112_32_16", 112, 32, 16, 1, 1, 1},
                             {"mobilenetv2_112_16_96", 112, 16, 96, 1, 1, 1},
                             {"mobilenetv2_dw112s2", 112, 96, 96, 3, 2, 96},
                             {"mobilenetv2_56_144_24", 56, 144, 24, 1, 1, 1},
                             {"mobilenetv2_dw56", 56, 144, 144, 3, 1, 144},
                             {"mobilenetv2_28_32_192", 28, 32, 192, 1, 1, 1},
                             {"mobilenetv2_14_384_64", 14, 384, 64, 1, 1, 1},
                             {"mobilenetv2_dw14", 14, 576, 576, 3, 1, 576},
                             {"mobilenetv2_7_160_960", 7, 160, 960, 1, 1, 1},
                             {"mobilenetv2_7_960_320", 7, 960, 320, 1, 1, 1},
                             {"mobilenetv2_7_320_1280", 7, 320, 1280, 1, 1, 1},
                             {"mobilenetv2_dw7", 7, 960, 960, 3, 1, 960}};

// Products with 128 rows (MiniLM, 128 tokens): c, oc.
constexpr int64_t kProducts[][2] = {{384, 384}, {384, 1152}, {384, 1536}, {1536, 384}};

enum class Kind { f32, bf16, int8 };

ConvSpec spec_of(Kind kind, const ConvShape& shape) {
  ConvSpec spec;
  spec.shape = shape;
  spec.bias = true;
  spec.activation = {Act::relu};
  if (kind == Kind::bf16) spec.src = spec.weights = spec.dst = DType::bf16;
  if (kind == Kind::int8) {
    spec.src = spec.dst = DType::u8, spec.weights = DType::s8;
    spec.src_quant = {0.02F, 128}, spec.dst_quant = {0.05F, 128},
    spec.weight_scale.assign(static_cast<size_t>(shape.oc), 0.01F);
  }
  return spec;
}

ConvShape shape_of(const Layer& l) {
  ConvShape s{.n = 1, .h = l.size, .w = l.size, .c = l.c, .oc = l.oc, .kh = l.kernel, .kw = l.kernel};
  s.oh = s.ow = l.size / l.stride;
  s.stride_h = s.stride_w = l.stride, s.groups = l.groups;
  s.pad_top = s.pad_left = (l.kernel - l.stride + 1) / 2;
  return s;
}

AlignedBuffer random_values(DType type, int64_t count) {
  AlignedBuffer buffer(count * bytes_of(type));
  Random random(1);
  for (int64_t i = 0; i < count; ++i) {
    if (type == DType::f32)
      buffer.as<float>()[i] = static_cast<float>(random.uniform(-1, 1));
    else if (type == DType::bf16)
      buffer.as<bf16>()[i] = bf16(static_cast<float>(random.uniform(-1, 1)));
    else
      buffer.as<int8_t>()[i] = static_cast<int8_t>(random.integer(-100, 100));
  }
  return buffer;
}

void run_case(benchmark::State& state, const ConvCandidate& candidate, const ConvSpec& spec, int threads) {
  const ConvShape& s = spec.shape;
  const AlignedBuffer src = random_values(spec.src, s.n * s.h * s.w * s.c);
  const AlignedBuffer weights = random_values(spec.weights, s.oc * s.c / s.groups * s.kh * s.kw);
  const AlignedBuffer bias = AlignedBuffer::zeroed(s.oc * 4);
  AlignedBuffer dst(s.n * s.oh * s.ow * s.oc * bytes_of(spec.dst));
  const auto kernel = candidate.create(spec, candidate.pack(spec, {weights.data(), bias.data()}), threads);
  AlignedBuffer scratch(kernel->scratch_bytes());
  ThreadPool pool(threads);
  const ConvBuffers buffers{src.data(), nullptr, dst.data(), scratch.data()};
  for (auto _ : state) kernel->run(buffers, pool);
  state.counters["GOP"] =
      benchmark::Counter(2e-9 * static_cast<double>(s.macs()), benchmark::Counter::kIsIterationInvariantRate);
}

const bool kRegistered = [] {
  std::vector<std::pair<std::string, ConvShape>> shapes;
  for (const Layer& layer : kLayers) shapes.emplace_back(layer.name, shape_of(layer));
  for (const auto& [c, oc] : kProducts)
    shapes.emplace_back("minilm_" + std::to_string(c) + "_" + std::to_string(oc),
                        ConvShape{.w = 128, .c = c, .ow = 128, .oc = oc});
  for (const ConvCandidate& candidate : conv_candidates())
    for (const Kind kind : {Kind::f32, Kind::bf16, Kind::int8})
      for (const auto& [name, shape] : shapes) {
        const ConvSpec spec = spec_of(kind, shape);
        if (!runs_here(candidate.isa) || !candidate.unsupported(spec).empty()) continue;
        for (const int threads : {1, 2})
          benchmark::RegisterBenchmark(
              (std::string(candidate.name) + "/" + name + "/threads:" + std::to_string(threads)).c_str(),
              [&candidate, spec, threads](benchmark::State& state) {
                run_case(state, candidate, spec, threads);
              })
              ->UseRealTime()
              ->Unit(benchmark::kMicrosecond);
      }
  return true;
}();

}  // namespace
}  // namespace narrow::kernels
