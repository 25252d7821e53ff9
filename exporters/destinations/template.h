// Values of headers, resource attributes and endpoints as a preset writes them: text with options
// in braces. Pure.
//
//   {option}           the option's value
//   {basic:user:pass}  base64 of "USER:PASS", for HTTP's basic authentication
//   {user_of:option}   the user part of a URL such as https://USER@host/1; of anything else, all of
//                      it
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace sidecast {

// The options that a template names, in their order.
[[nodiscard]] std::vector<std::string_view> options_of_template(std::string_view pattern);

// The template with every value in its place; nothing when an option in it is empty. `value_of` is
// asked for options by name; an Error of its is handed on.
using ValueOf = std::function<Result<std::string_view>(std::string_view option)>;
[[nodiscard]] Result<std::optional<std::string>> fill_template(std::string_view pattern,
                                                               const ValueOf& value_of);

}  // namespace sidecast
