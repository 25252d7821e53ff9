#include "exporters/destinations/sigv4.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "exporters/destinations/options.h"

namespace sidecast {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::string lower_case(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

// Without blanks around, and one blank for each run inside.
std::string canonical_value(std::string_view value) {
  std::string text;
  for (const char c : trim_blanks(value)) {
    const bool is_blank = c == ' ' || c == '\t';
    if (is_blank && text.ends_with(' ')) continue;
    text += is_blank ? ' ' : c;
  }
  return text;
}

// Parameters by name, then value; one without "=" counts as empty.
std::string canonical_query(std::string_view query) {
  std::vector<std::string> parameters;
  if (query.starts_with('?')) query.remove_prefix(1);
  for (const std::string_view part : split_list(query, '&')) {
    parameters.emplace_back(part);
    if (part.find('=') == std::string_view::npos) parameters.back() += '=';
  }
  std::sort(parameters.begin(), parameters.end(), [](const auto& left, const auto& right) {
    const auto key = [](const std::string& text) {
      const std::size_t equals = text.find('=');
      return std::pair(text.substr(0, equals), text.substr(equals + 1));
    };
    return key(left) < key(right);
  });
  std::string text;
  for (const std::string& parameter : parameters) {
    if (!text.empty()) text += '&';
    text += parameter;
  }
  return text;
}

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// Sorted by name; several values of one name joined by commas.
HeaderList canonical_headers(const Request& request, std::string_view host) {
  HeaderList headers = {{"host", std::string(host)}};
  for (const Header& header : request.headers) {
    headers.emplace_back(lower_case(header.name), canonical_value(header.value));
  }
  std::stable_sort(headers.begin(), headers.end(),
                   [](const auto& left, const auto& right) { return left.first < right.first; });
  HeaderList merged;
  for (auto& [name, value] : headers) {
    if (!merged.empty() && merged.back().first == name) {
      merged.back().second += "," + value;
    } else {
      merged.emplace_back(std::move(name), std::move(value));
    }
  }
  return merged;
}

// What curl sends as Host: without the scheme's own port.
std::string_view host_of(const Url& url) {
  std::string_view host = url.authority;
  const std::string_view port = url.scheme == "https" ? ":443" : ":80";
  if (host.ends_with(port)) host.remove_suffix(port.size());
  return host;
}

}  // namespace

std::string uri_encode(std::string_view text, bool keep_slash) {
  std::string encoded;
  for (const char c : text) {
    const bool is_plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~' ||
                          (keep_slash && c == '/');
    if (is_plain) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

std::string sigv4_time(Timestamp time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(seconds - day);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

Status sign_sigv4(Request& request, const Sigv4Credentials& credentials, const Sigv4Scope& scope,
                  std::string_view payload_hash, Timestamp now) {
  const auto url = parse_url("endpoint", request.url);
  if (!url) return fail(url.error());
  // What an earlier attempt has added does not sign itself.
  std::erase_if(request.headers, [](const Header& header) {
    const std::string name = lower_case(header.name);
    return name == "authorization" || name == "x-amz-date" || name == "x-amz-security-token";
  });
  const std::string time = sigv4_time(now);
  const std::string day = time.substr(0, 8);
  request.headers.push_back({"x-amz-date", time});
  if (!credentials.session_token.empty()) {
    request.headers.push_back({"x-amz-security-token", std::string(credentials.session_token)});
  }

  std::string signed_names;
  std::string canonical =
      fmt::format("{}\n{}\n{}\n", request.method, url->path.empty() ? "/" : url->path,
                  canonical_query(url->query));
  for (const auto& [name, value] : canonical_headers(request, host_of(*url))) {
    canonical += fmt::format("{}:{}\n", name, value);
    if (!signed_names.empty()) signed_names += ';';
    signed_names += name;
  }
  canonical += fmt::format("\n{}\n{}", signed_names, payload_hash);

  const std::string credential_scope =
      fmt::format("{}/{}/{}/aws4_request", day, scope.region, scope.service);
  const std::string to_sign = fmt::format("{}\n{}\n{}\n{}", kAlgorithm, time, credential_scope,
                                          to_hex(as_bytes(sha256(canonical))));
  Secret start("AWS4" + std::string(credentials.secret_access_key));
  const Sha256 day_key = hmac_sha256(start.reveal(), day);
  const Sha256 region_key = hmac_sha256(as_bytes(day_key), scope.region);
  const Sha256 service_key = hmac_sha256(as_bytes(region_key), scope.service);
  const Sha256 key = hmac_sha256(as_bytes(service_key), "aws4_request");
  request.headers.push_back(
      {"authorization",
       fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm,
                   credentials.access_key_id, credential_scope, signed_names,
                   to_hex(as_bytes(hmac_sha256(as_bytes(key), to_sign))))});
  return {};
}

}  // namespace sidecast
