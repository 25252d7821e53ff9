// Access tokens of Google service accounts: a JSON Web Token signed with the account's key buys one
// that is good for an hour (RFC 7523). Facts: reference "destinations-native" §6.
//
// Threads: one thread at a time, the delivery thread.
#pragma once

#include <string>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "engine/base/secret.h"
#include "engine/base/sha256.h"
#include "exporters/exporter.h"

namespace sidecast {

class GoogleToken {
 public:
  explicit GoogleToken(std::string scope) : scope_(std::move(scope)) {}

  // The request that buys a token with the key file's JSON; nothing while the one at hand, bought
  // with the same key, is good for some minutes more.
  [[nodiscard]] Result<std::optional<Request>> request(std::string_view key_json,
                                                       Timestamp now) const;
  // Keeps what came.
  [[nodiscard]] Verdict take(const Request& request, const Response& response, Timestamp now);
  // The token bought with that key; an Error when there is none.
  [[nodiscard]] Result<std::string_view> text(std::string_view key_json) const;
  void forget() noexcept { token_ = Secret(); }

 private:
  std::string scope_;
  Secret token_;
  Timestamp good_until_{};
  mutable Sha256 asked_with_{};  // of the key file, so that no key is kept
  Sha256 bought_with_{};
};

}  // namespace sidecast
