#include "pipeline/cast_costs.h"

#include <algorithm>

#include "bench/profile.h"
#include "ir/onnx_types.h"
#include "ir/schema.h"

namespace narrow::pipeline {
namespace {

using search::Carrier;

/// x -> as the carrier has it -> FP32.
Result<ir::Graph> there_and_back(Carrier carrier, int64_t numbers) {
  ir::Graph graph;
  ir::Value* x = graph.add_input("x", ir::TensorType::of(DType::f32, {1, numbers}));
  ir::Value* y = nullptr;
  if (carrier == Carrier::u8) {
    ir::Value *scale = graph.add_constant("scale", Tensor::scalar(1.0F / 64)),
              *zero = graph.add_constant("zero", Tensor::scalar(uint8_t{128}));
    ir::Value* codes = graph.add_node(ir::Op::QuantizeLinear, {x, scale, zero}, {"codes"})->output();
    y = graph.add_node(ir::Op::DequantizeLinear, {codes, scale, zero}, {"y"})->output();
  } else {
    const DType type = carrier == Carrier::f16 ? DType::f16 : DType::bf16;
    const auto cast = [&](ir::Value* from, DType to, const char* name) {
      return graph.add_node(ir::Op::Cast, {from}, {name}, {{"to", ir::onnx_of_dtype(to)}})->output();
    };
    y = cast(cast(x, type, "half"), DType::f32, "y");
  }
  graph.add_output("y", y);
  NARROW_DO(ir::infer_types(graph));
  return graph;
}

struct Measured {
  double enter = 0, leave = 0;  // ms
};

Result<Measured> time_casts(Carrier carrier, int64_t numbers, const std::shared_ptr<ThreadPool>& pool) {
  constexpr int kRuns = 15;
  NARROW_TRY(const ir::Graph graph, there_and_back(carrier, numbers));
  NARROW_TRY(runtime::Session session, runtime::Session::create(graph, pool));
  std::vector<float> values(static_cast<size_t>(numbers));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 200) / 100 - 1;
  NARROW_TRY(const bench::Profile profile,
             bench::profile(session, {{"x", Tensor::of({1, numbers}, values)}}, kRuns));
  Measured measured;
  for (const bench::StepProfile& step : profile.steps) {
    const auto& formats = step.choice.formats;
    const bool to_f32 = !formats.empty() && formats.front() == "f32";
    (to_f32 ? measured.leave : measured.enter) += step.ms;
  }
  return measured;
}

/// Through two points.
CastRate rate_of(double few_numbers, double few_ms, double many_numbers, double many_ms) {
  const double per_number = std::max(0.0, (many_ms - few_ms) / (many_numbers - few_numbers));
  return {std::max(0.0, few_ms - per_number * few_numbers), per_number};
}

}  // namespace

search::CastCosts CastRates::of(double numbers) const {
  search::CastCosts costs = {};
  for (size_t c = 1; c < search::kCarriers; ++c)
    costs[c] = {.leave = leave[c].ms(numbers), .enter = enter[c].ms(numbers)};
  return costs;
}

Result<CastRates> measure_casts(const std::shared_ptr<ThreadPool>& pool) {
  constexpr int64_t kFew = 4096, kMany = 262144;
  CastRates rates;
  for (size_t c = 1; c < search::kCarriers; ++c) {
    const auto carrier = static_cast<Carrier>(c);
    NARROW_TRY(const Measured few, time_casts(carrier, kFew, pool));
    NARROW_TRY(const Measured many, time_casts(carrier, kMany, pool));
    rates.enter[c] = rate_of(kFew, few.enter, kMany, many.enter);
    rates.leave[c] = rate_of(kFew, few.leave, kMany, many.leave);
  }
  return rates;
}

CastRates pinned_casts() {
  CastRates rates;
  for (size_t c = 1; c < search::kCarriers; ++c) rates.enter[c] = rates.leave[c] = {2e-3, 5 / 1e7};
  return rates;
}

}  // namespace narrow::pipeline
