// .npz and .npy: arrays that are read lie inside the file, in both element orders.
#include "data/npz.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace narrow;
  const auto touch = [](const Tensor& tensor) {
    volatile int64_t sum = 0;
    for (const int64_t v : to_ints(tensor)) sum = sum ^ v;
  };
  const Result<Tensor> array = data::parse_npy(std::as_bytes(std::span(data, size)), "a", nullptr);
  fuzz::check_error(array);
  if (array.ok()) touch(*array);
  const Result<TensorMap> arrays = data::read_npz(fuzz::file_of(fuzz::text_of(data, size), ".npz"));
  fuzz::check_error(arrays);
  if (arrays.ok())
    for (const auto& [name, tensor] : *arrays) touch(tensor);
  return 0;
}
