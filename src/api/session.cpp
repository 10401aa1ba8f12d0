// The public Session around runtime::Session: conversion, turns, and memory that a run can reuse.
#include <algorithm>
#include <cstring>
#include <mutex>

#include "api/inner.h"

NARROW_BEGIN_NAMESPACE
namespace {

constexpr int kMostThreads = 1024;

TensorInfo info_of(const std::string& name, const ir::TensorType& type) {
  TensorInfo info{.name = name, .dtype = lift(type.dtype), .ranked = type.ranked, .shape = {}};
  for (const ir::Dim& dim : type.dims) info.shape.push_back(dim.known() ? dim.value : -1);
  return info;
}

template <class Given>
bool same_type(const inner::Tensor& ours, const Given& given) {
  return ours.dtype() == lower(given.dtype()) && ours.shape() == given.shape();
}

void copy_bytes(void* to, const void* from, int64_t bytes) {
  if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
}

Error bad_output(const std::string& name, std::string expected, std::string got) {
  return {.code = Code::invalid_argument,
          .subject = "output '" + name + "'",
          .expected = std::move(expected),
          .got = std::move(got)};
}

std::string type_text(inner::DType type, const Shape& shape) {
  return inner::to_string(type) + inner::to_string(shape);
}

}  // namespace

/// The caller's tensors are copied into `in` and out of `out`: kernels want 64-byte alignment and may read
/// beyond the end of a tensor.
struct Session::State {
  std::vector<TensorInfo> inputs, outputs;
  std::mutex mutex;  // guards what follows
  inner::Session session;
  inner::TensorMap in, out;  // of the last run; both empty or both of the same shapes' run

  explicit State(inner::Session opened) : session(std::move(opened)) {
    for (const ir::Port& input : session.interface().inputs)
      inputs.push_back(info_of(input.name, input.type));
    for (const ir::Port& output : session.interface().outputs)
      outputs.push_back(info_of(output.name, output.type));
  }
  Status compute(const Tensors& given);
  Status plan_and_compute(const Tensors& given);
  Status hand_out(Tensors& wanted) const;
};

/// Given tensors into `out`, reusing everything when names, types and shapes are those of the last run.
Status Session::State::compute(const Tensors& given) {
  const bool same =
      std::equal(in.begin(), in.end(), given.begin(), given.end(), [](const auto& ours, const auto& theirs) {
        return ours.first == theirs.first && same_type(ours.second, theirs.second);
      });
  if (!same || out.empty()) return plan_and_compute(given);
  auto theirs = given.begin();
  for (auto& [name, tensor] : in) copy_bytes(tensor.mutable_raw(), (theirs++)->second.raw(), tensor.bytes());
  auto done = session.run_into(in, out);
  if (!done.ok()) return lift(std::move(done).error());
  return {};
}

Status Session::State::plan_and_compute(const Tensors& given) {
  in.clear();
  out.clear();
  for (const auto& [name, tensor] : given) {
    inner::Tensor copy = inner::Tensor::allocate(lower(tensor.dtype()), tensor.shape());
    copy_bytes(copy.mutable_raw(), tensor.raw(), copy.bytes());
    in.emplace(name, std::move(copy));
  }
  auto results = session.run(in);
  if (!results.ok()) return lift(std::move(results).error());
  out = std::move(results).value();
  return {};
}

Status Session::State::hand_out(Tensors& wanted) const {
  for (const auto& [name, tensor] : wanted) {
    const auto ours = out.find(name);
    if (ours == out.end()) return bad_output(name, "a name of the model's outputs", "an unknown one");
    if (!same_type(ours->second, tensor))
      return bad_output(name, type_text(ours->second.dtype(), ours->second.shape()),
                        type_text(lower(tensor.dtype()), tensor.shape()));
    if (!tensor.writable())
      return bad_output(name, "memory that may be written", "a view of constant memory");
  }
  for (auto& [name, tensor] : wanted)
    copy_bytes(tensor.mutable_raw(), out.find(name)->second.raw(), tensor.bytes());
  return {};
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::open(const std::filesystem::path& model, const SessionOptions& options) {
  return without_exceptions([&]() -> Result<Session> {
    if (options.threads < 0 || options.threads > kMostThreads)
      return Error{.code = Code::invalid_argument,
                   .subject = "option threads",
                   .expected = "0 to " + std::to_string(kMostThreads),
                   .got = std::to_string(options.threads)};
    auto opened = inner::Session::open(model, std::make_shared<inner::ThreadPool>(options.threads));
    if (!opened.ok()) return lift(std::move(opened).error());
    return Session(std::make_unique<State>(std::move(opened).value()));
  });
}

std::span<const TensorInfo> Session::inputs() const {
  return state_ ? std::span<const TensorInfo>(state_->inputs) : std::span<const TensorInfo>();
}

std::span<const TensorInfo> Session::outputs() const {
  return state_ ? std::span<const TensorInfo>(state_->outputs) : std::span<const TensorInfo>();
}

namespace {

Error moved_from() {
  return {.code = Code::invalid_argument,
          .subject = "session",
          .expected = "an open one",
          .got = "one moved from"};
}

}  // namespace

Result<Tensors> Session::run(const Tensors& inputs) {
  return without_exceptions([&]() -> Result<Tensors> {
    if (!state_) return moved_from();
    const std::lock_guard lock(state_->mutex);
    if (Status done = state_->compute(inputs); !done) return done.error();
    Tensors outputs;
    for (const auto& [name, ours] : state_->out) {
      auto tensor = Tensor::zeros(lift(ours.dtype()), ours.shape());
      if (!tensor) return tensor.error();
      outputs.emplace(name, std::move(tensor).value());
    }
    if (Status done = state_->hand_out(outputs); !done) return done.error();
    return outputs;
  });
}

Status Session::run_into(const Tensors& inputs, Tensors& outputs) {
  return without_exceptions([&]() -> Status {
    if (!state_) return moved_from();
    const std::lock_guard lock(state_->mutex);
    if (Status done = state_->compute(inputs); !done) return done;
    return state_->hand_out(outputs);
  });
}

NARROW_END_NAMESPACE
