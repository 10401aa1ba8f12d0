#include "ir/text/lexer.h"

#include <algorithm>
#include <charconv>

#include "ir/text/numbers.h"

namespace narrow::ir::text {

char Lexer::peek() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '#')
      at_ = std::min(text_.find('\n', at_), text_.size());
    else if (c == ' ' || c == '\n' || c == '\t' || c == '\r')
      ++at_;
    else
      return c;
  }
  return 0;
}

bool Lexer::accept(char c) {
  if (at_end() || peek() != c) return false;
  ++at_;
  return true;
}

Status Lexer::expect(char c) {
  if (accept(c)) return {};
  return error(std::string("'") + c + "'");
}

bool Lexer::accept_word(std::string_view word) {
  peek();
  if (!text_.substr(at_).starts_with(word)) return false;
  const size_t end = at_ + word.size();
  if (end < text_.size() && is_word(text_[end])) return false;
  at_ = end;
  return true;
}

Result<std::string_view> Lexer::word() {
  peek();
  size_t end = at_;
  while (end < text_.size() && is_word(text_[end])) ++end;
  while (end > at_ && text_[end - 1] == ':') --end;
  if (end == at_) return error("a name");
  const std::string_view found = text_.substr(at_, end - at_);
  at_ = end;
  return found;
}

Result<std::string> Lexer::quoted() {
  NARROW_DO(expect('"'));
  std::string out;
  while (at_ < text_.size() && text_[at_] != '"') {
    const char c = text_[at_++];
    if (c != '\\') {
      out += c;
      continue;
    }
    const char escape = at_ < text_.size() ? text_[at_++] : '\0';
    if (escape == 'x') {
      unsigned char byte = 0;
      const std::string_view digits = text_.substr(std::min(at_, text_.size()), 2);
      const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
      if (digits.size() < 2 || status != std::errc() || end != digits.data() + 2)
        return error("two hexadecimal digits after \\x");
      at_ += 2;
      out += static_cast<char>(byte);
    } else if (escape == 'n') {
      out += '\n';
    } else if (escape == '"' || escape == '\\') {
      out += escape;
    } else {
      return error("\\\" \\\\ \\n or \\xHH");
    }
  }
  if (at_ >= text_.size()) return error("a closing quote");
  ++at_;
  return out;
}

Result<std::string> Lexer::name() {
  if (peek() == '"') return quoted();
  NARROW_TRY(const std::string_view bare, word());
  return std::string(bare);
}

Result<int64_t> Lexer::integer() {
  NARROW_TRY(const std::string_view token, number());
  const auto value = read_int(token);
  if (!value) return error("an integer", std::string(token));
  return *value;
}

Result<std::string_view> Lexer::number() {
  peek();
  size_t end = at_;
  while (end < text_.size() && text_[end] != ':' && text_[end] != '/' &&
         (is_word(text_[end]) || text_[end] == '+'))
    ++end;
  if (end == at_) return error("a number");
  const std::string_view found = text_.substr(at_, end - at_);
  at_ = end;
  return found;
}

Result<std::vector<std::string_view>> Lexer::numbers() {
  std::vector<std::string_view> tokens;
  NARROW_DO(expect('['));
  if (accept(']')) return tokens;
  do {
    NARROW_TRY(const std::string_view token, number());
    tokens.push_back(token);
  } while (accept(','));
  NARROW_DO(expect(']'));
  return tokens;
}

Error Lexer::error(std::string expected) const {
  constexpr size_t kShown = 24;
  std::string_view rest = text_.substr(std::min(at_, text_.size()), kShown);
  rest = rest.substr(0, rest.find('\n'));
  return error(std::move(expected), rest.empty() ? "the end of the line" : "'" + std::string(rest) + "'");
}

Error Lexer::error(std::string expected, std::string got) const {
  const auto before = text_.substr(0, std::min(at_, text_.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  return {.code = Code::invalid_model,
          .subject = "graph text, line " + std::to_string(line),
          .expected = std::move(expected),
          .got = std::move(got)};
}

}  // namespace narrow::ir::text
