// The public interface of narrow: open a model, run it on tensors. docs/library.md explains it.
//
//   auto session = narrow::Session::open("out/int8.narrow", {.threads = 2});
//   if (!session) return complain(session.error().message());
//   auto image = narrow::Tensor::view({1, 3, 224, 224}, std::span<const float>(pixels));
//   auto outputs = session->run({{"input", *image}});
//
// No function throws, and there is no state outside of the objects you hold.
#pragma once

#include "narrow/error.h"
#include "narrow/session.h"
#include "narrow/tensor.h"
