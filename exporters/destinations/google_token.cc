#include "exporters/destinations/google_token.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <simdjson.h>

#include "engine/base/base64.h"
#include "engine/base/rsa.h"
#include "exporters/destinations/answer.h"
#include "exporters/destinations/native.h"
#include "exporters/destinations/sigv4.h"

namespace sidecast {
namespace {

constexpr std::chrono::minutes kRenewedBefore{5};
constexpr std::string_view kTokenUri = "https://oauth2.googleapis.com/token";
constexpr std::string_view kGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer";

}  // namespace

Result<std::optional<Request>> GoogleToken::request(std::string_view key_json,
                                                    Timestamp now) const {
  const Sha256 key_hash = sha256(key_json);
  if (!token_.empty() && bought_with_ == key_hash && now + kRenewedBefore < good_until_) {
    return std::optional<Request>();
  }
  const std::string email = json_member(key_json, "client_email");
  const std::string key_id = json_member(key_json, "private_key_id");
  const std::string private_key = json_member(key_json, "private_key");
  std::string token_uri = json_member(key_json, "token_uri");
  if (token_uri.empty()) token_uri = kTokenUri;
  if (email.empty() || private_key.empty()) {
    return fail(
        "service_account_key is not the JSON of a service account's key: it has no "
        "client_email or private_key");
  }
  if (!parse_url("service_account_key", token_uri)) {
    return fail("service_account_key has a token_uri that is no URL");
  }
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  const std::string header =
      fmt::format(R"({{"alg":"RS256","typ":"JWT","kid":{}}})", json_string(key_id));
  const std::string claims =
      fmt::format(R"({{"iss":{},"scope":{},"aud":{},"iat":{},"exp":{}}})", json_string(email),
                  json_string(scope_), json_string(token_uri), seconds, seconds + 3600);
  const std::string signed_part = to_base64url(header) + "." + to_base64url(claims);
  const auto signature = sign_rs256(private_key, signed_part);
  if (!signature) return fail("service_account_key: " + signature.error().message());
  Request request;
  request.url = token_uri;
  request.headers = {{"content-type", "application/x-www-form-urlencoded"}};
  auto body = std::make_shared<const std::string>(
      fmt::format("grant_type={}&assertion={}.{}", uri_encode(kGrant, false), signed_part,
                  to_base64url(*signature)));
  request.body = {*body};
  request.keep_alive = std::move(body);
  asked_with_ = key_hash;
  return std::optional<Request>(std::move(request));
}

// {"access_token":"...","expires_in":3599,"token_type":"Bearer"}
Verdict GoogleToken::take(const Request& request, const Response& response, Timestamp now) {
  Verdict verdict = judge_native(request, response, now);
  // Google refuses keys with 400 (invalid_grant); nothing of ours is in that request but the key.
  if (verdict.kind == Verdict::Kind::kRejected) verdict.kind = Verdict::Kind::kPause;
  if (verdict.kind != Verdict::Kind::kDelivered) {
    if (verdict.kind == Verdict::Kind::kPause) {
      verdict.explanation =
          explain(response, "", "no token: check service_account_key and this machine's clock");
    }
    verdict.server_text.clear();  // it may quote the assertion
    return verdict;
  }
  simdjson::dom::parser parser;
  const auto document = parser.parse(response.body.data(), response.body.size());
  std::string_view token;
  std::int64_t seconds = 0;
  if (document["access_token"].get(token) != simdjson::SUCCESS || token.empty() ||
      !is_header_value(token)) {
    verdict.kind = Verdict::Kind::kPause;
    verdict.explanation = explain(response, "", "an answer without a token");
    return verdict;
  }
  if (document["expires_in"].get(seconds) != simdjson::SUCCESS) seconds = 0;
  token_ = Secret(std::string(token));
  good_until_ = now + std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, 86'400));
  bought_with_ = asked_with_;
  return verdict;
}

Result<std::string_view> GoogleToken::text(std::string_view key_json) const {
  if (token_.empty() || bought_with_ != sha256(key_json)) {
    return fail("service_account_key has not bought a token yet");
  }
  return token_.reveal();
}

}  // namespace sidecast
