// Runs a model on zeros and prints what it answers: narrow_example MODEL (.narrow or .onnx).
#include <narrow/narrow.h>

#include <algorithm>
#include <cstdio>

namespace {

int complain(const narrow::Error& error) {
  std::fprintf(stderr, "%s: %s\n", narrow::to_string(error.code), error.message().c_str());
  return 1;
}

/// "logits: f32[1,10], largest at 3"
void print(const std::string& name, const narrow::Tensor& tensor) {
  std::printf("%s: %s%s", name.c_str(), narrow::to_string(tensor.dtype()),
              narrow::to_string(tensor.shape()).c_str());
  if (const auto values = tensor.data<float>(); values.ok() && !values->empty())
    std::printf(", largest at %td", std::max_element(values->begin(), values->end()) - values->begin());
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: narrow_example MODEL\n");
    return 2;
  }
  auto session = narrow::Session::open(argv[1], {.threads = 2});
  if (!session) return complain(session.error());

  narrow::Tensors inputs;
  for (const narrow::TensorInfo& input : session->inputs()) {
    narrow::Shape shape = input.shape;
    std::replace(shape.begin(), shape.end(), int64_t{-1}, int64_t{1});  // free dimensions: one
    auto zeros = narrow::Tensor::zeros(input.dtype, shape);
    if (!zeros) return complain(zeros.error());
    inputs[input.name] = *zeros;
  }
  const auto outputs = session->run(inputs);
  if (!outputs) return complain(outputs.error());
  for (const auto& [name, tensor] : *outputs) print(name, tensor);
  return 0;
}
