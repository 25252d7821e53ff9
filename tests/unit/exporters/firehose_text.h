// What a record of Firehose says, which wraps it in base64.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "engine/base/base64.h"

namespace sidecast {

[[nodiscard]] inline std::string firehose_text(std::string_view record) {
  constexpr std::string_view kBefore = R"({"Data":")";
  std::string text(record.substr(kBefore.size(), record.size() - kBefore.size() - 2));
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  while (text.ends_with('=')) text.pop_back();
  return from_base64url(text).value_or("");
}

}  // namespace sidecast
