// Numbers and words of the text form, written and read bit for bit.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace narrow::ir::text {

constexpr int64_t kMaxInlineElements = 64;

/// Characters of names that stand bare.
bool is_word(char c);
/// A name that needs no quotes: word characters, not ending in ':'.
bool is_bare(std::string_view name);

void append_quoted(std::string& out, std::string_view text);
/// %.9g, inf, nan, or bits of other NaNs. `marked`: with a point or exponent, so that it cannot be an
/// integer.
void append_float(std::string& out, float value, bool marked);
/// "[1,2,3]", any element type.
void append_elements(std::string& out, const Tensor& tensor);

std::optional<int64_t> read_int(std::string_view token);
std::optional<float> read_float(std::string_view token);
/// A float by its looks: a point, an exponent, inf, nan or 0x bits.
bool looks_float(std::string_view token);
/// The tensor whose elements the tokens are; nothing when one does not fit the type or the count is wrong.
/// Precondition: the shape's element count fits in 63 bits.
std::optional<Tensor> read_elements(DType dtype, const Shape& shape,
                                    const std::vector<std::string_view>& tokens);

}  // namespace narrow::ir::text
