// Why the receiver does not take a request: the HTTP status it answers and one line for the sender.
#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace sidecast::receiver {

struct Refusal {
  int status = 400;
  std::string message;
};

template <typename T>
using Accepted = tl::expected<T, Refusal>;

[[nodiscard]] inline tl::unexpected<Refusal> refuse(int status, std::string message) {
  return tl::unexpected<Refusal>(Refusal{status, std::move(message)});
}

}  // namespace sidecast::receiver
