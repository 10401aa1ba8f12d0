// Reads the text form piece by piece; knows where it is for messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace narrow::ir::text {

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  /// The next character after white space and comments; 0 at the end.
  char peek();
  bool at_end() { return peek() == 0 && at_ >= text_.size(); }
  /// Takes the character when it is next.
  bool accept(char c);
  Status expect(char c);
  /// Takes the word when it is next, as a whole.
  bool accept_word(std::string_view word);
  /// Word characters, at least one, without colons at the end.
  Result<std::string_view> word();
  /// "..." with its escapes resolved.
  Result<std::string> quoted();
  /// A quoted or bare name.
  Result<std::string> name();
  Result<int64_t> integer();
  /// Letters, digits, + - and points: what a number is made of.
  Result<std::string_view> number();
  /// "[a,b,...]" of numbers.
  Result<std::vector<std::string_view>> numbers();

  Error error(std::string expected) const;
  Error error(std::string expected, std::string got) const;

 private:
  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace narrow::ir::text
