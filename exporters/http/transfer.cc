#include "exporters/http/transfer.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "exporters/wipe.h"

namespace sidecast {
namespace {

constexpr std::size_t kHeaderBytesMax = 64U << 10U;  // of a response; more is left out
// Kept answers of name lookups. A connection is used many times, so lookups are rare; and where
// they are not, connections fail, which may be because the name has moved.
constexpr std::chrono::seconds kNameAgeMax{5};

// Every option used here exists in the libcurl we build against; only strings can fail (memory).
template <typename Value>
void set(CURL* easy, CURLoption option, Value value) {
  const CURLcode result = curl_easy_setopt(easy, option, value);
  if (result == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
  SIDECAST_ASSERT(result == CURLE_OK);
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

Response::Failure failure_of(CURLcode result) {
  using Failure = Response::Failure;
  switch (result) {
    case CURLE_OK:
      return Failure::kNone;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return Failure::kResolve;
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
      return Failure::kConnect;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED:
      return Failure::kTls;
    case CURLE_OPERATION_TIMEDOUT:
      return Failure::kTimeout;
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WEIRD_SERVER_REPLY:
      return Failure::kReset;
    default:
      return Failure::kOther;
  }
}

}  // namespace

Transfer::Transfer() : easy_(curl_easy_init()) {
  if (easy_ == nullptr) throw std::bad_alloc();
}

Transfer::~Transfer() {
  free_headers();
  curl_easy_cleanup(easy_);
}

Transfer& Transfer::of(CURL* easy) noexcept {
  void* self = nullptr;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &self);
  return *static_cast<Transfer*>(self);
}

Status Transfer::prepare(Request request, const TransferOptions& options,
                         const std::string& user_agent, HttpLoop::Completion completion) {
  request_ = std::move(request);
  completion_ = std::move(completion);
  egress_ = options.egress;
  egress_allowed_ = options.egress_allowed;

  set(easy_, CURLOPT_PRIVATE, static_cast<void*>(this));
  set(easy_, CURLOPT_ERRORBUFFER, error_text_);
  set(easy_, CURLOPT_NOSIGNAL, 1L);
  set(easy_, CURLOPT_NOPROGRESS, 1L);
  set(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy_, CURLOPT_FOLLOWLOCATION, 0L);
  set(easy_, CURLOPT_PATH_AS_IS, 1L);  // a signature covers the path as we wrote it
  set(easy_, CURLOPT_URL, request_.url.c_str());
  if (!user_agent.empty()) set(easy_, CURLOPT_USERAGENT, user_agent.c_str());
  set(easy_, CURLOPT_HEADERFUNCTION, &Transfer::take_header);
  set(easy_, CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(easy_, CURLOPT_WRITEFUNCTION, &Transfer::take_body);
  set(easy_, CURLOPT_WRITEDATA, static_cast<void*>(this));
  if (Status checked = check_proxied(options); !checked) return checked;
  set_connection(options);
  set_method();
  return set_headers();
}

// Through a proxy only the proxy's address is seen, so what may not be reached is told by its name,
// and whoever may not reach everything private gets none.
Status Transfer::check_proxied(const TransferOptions& options) {
  if (options.proxy.empty()) return {};
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url(curl_url(), &curl_url_cleanup);
  if (url == nullptr) throw std::bad_alloc();
  char* host = nullptr;
  if (curl_url_set(url.get(), CURLUPART_URL, request_.url.c_str(), 0) != CURLUE_OK ||
      curl_url_get(url.get(), CURLUPART_HOST, &host, 0) != CURLUE_OK) {
    return fail("the URL has no host");
  }
  std::string_view name(host);
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  address_refused_ = options.egress != Egress::kOperator || names_metadata_service(name);
  curl_free(host);
  if (!address_refused_) return {};
  return fail(options.egress == Egress::kOperator
                  ? "metadata services may not be reached, by a proxy neither"
                  : "a tenant's destination is reached without a proxy, or not at all");
}

void Transfer::set_connection(const TransferOptions& options) {
  set(easy_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  set(easy_, CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout.count()));
  set(easy_, CURLOPT_TCP_KEEPALIVE, 1L);
  set(easy_, CURLOPT_DNS_CACHE_TIMEOUT, static_cast<long>(kNameAgeMax.count()));
  set(easy_, CURLOPT_MAXLIFETIME_CONN, static_cast<long>(options.connection_lifetime.count()));
  // An empty string switches off the environment's proxies; so does the second for its exceptions.
  set(easy_, CURLOPT_PROXY, options.proxy.c_str());
  set(easy_, CURLOPT_NOPROXY, options.no_proxy.c_str());
  if (options.proxy_credentials.size() > 0) {
    const std::string credentials(options.proxy_credentials.view());
    const std::size_t colon = std::min(credentials.find(':'), credentials.size());
    set(easy_, CURLOPT_PROXYUSERNAME, credentials.substr(0, colon).c_str());
    set(easy_, CURLOPT_PROXYPASSWORD,
        credentials.substr(std::min(colon + 1, credentials.size())).c_str());
  }
  if (!options.ca_file.empty()) {
    set(easy_, CURLOPT_CAINFO, options.ca_file.c_str());
    set(easy_, CURLOPT_PROXY_CAINFO, options.ca_file.c_str());
  }
  if (!options.client_cert_file.empty()) {
    set(easy_, CURLOPT_SSLCERT, options.client_cert_file.c_str());
    const std::string& key =
        options.client_key_file.empty() ? options.client_cert_file : options.client_key_file;
    set(easy_, CURLOPT_SSLKEY, key.c_str());
  }

  set(easy_, CURLOPT_OPENSOCKETFUNCTION, &Transfer::open_socket);
  set(easy_, CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
  set(easy_, CURLOPT_PREREQFUNCTION, &Transfer::check_peer);
  set(easy_, CURLOPT_PREREQDATA, static_cast<void*>(this));

  const bool is_tls = request_.url.starts_with("https:");
  if (is_tls) {
    set(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    // Rather a stream on a connection that is being opened than a connection of its own.
    set(easy_, CURLOPT_PIPEWAIT, 1L);
  } else if (options.http2_prior_knowledge || request_.http2) {
    // libcurl before 8.0 fails on every later request of a prior-knowledge connection (its bug
    // 10634), so each has a connection to itself. Letting one request open the connection and the
    // others join it works as well, but needs a refusal to come back as "become the opener"; a
    // connection costs little beside a batch.
    set(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE));
    set(easy_, CURLOPT_FRESH_CONNECT, 1L);
    set(easy_, CURLOPT_FORBID_REUSE, 1L);
  } else {
    set(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  }
}

void Transfer::set_method() {
  const std::uint64_t body_bytes = request_.body_bytes();
  if (request_.method == "HEAD") {
    set(easy_, CURLOPT_NOBODY, 1L);
    return;
  }
  if (body_bytes == 0 && request_.method != "POST" && request_.method != "PUT") {
    set(easy_, CURLOPT_HTTPGET, 1L);
    if (request_.method != "GET") set(easy_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    return;
  }
  // Any method with a body is libcurl's POST under its own name: its upload mode would add
  // `Expect:` and treat the answer no better.
  set(easy_, CURLOPT_POST, 1L);
  set(easy_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  set(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body_bytes));
  if (body_bytes == 0) {
    set(easy_, CURLOPT_POSTFIELDS, "");
    return;
  }
  set(easy_, CURLOPT_READFUNCTION, &Transfer::read_body);
  set(easy_, CURLOPT_READDATA, static_cast<void*>(this));
  set(easy_, CURLOPT_SEEKFUNCTION, &Transfer::seek_body);
  set(easy_, CURLOPT_SEEKDATA, static_cast<void*>(this));
}

Status Transfer::set_headers() {
  const auto add = [this](const std::string& line) {
    curl_slist* const longer = curl_slist_append(header_list_, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    header_list_ = longer;
  };
  bool has_content_type = false;
  for (const Header& header : request_.headers) {
    constexpr std::string_view kForbidden("\r\n\0", 3);
    if (header.name.empty() || header.name.find_first_of(kForbidden) != std::string::npos ||
        header.name.find(':') != std::string::npos) {
      return fail("a header has no valid name");
    }
    if (header.value.find_first_of(kForbidden) != std::string::npos) {
      return fail("the value of header " + header.name + " holds a line break");
    }
    std::string name = header.name;
    std::transform(name.begin(), name.end(), name.begin(), lower);
    has_content_type = has_content_type || name == "content-type";
    // libcurl's way to send a header without a value.
    std::string line =
        trim(header.value).empty() ? header.name + ";" : header.name + ": " + header.value;
    add(line);
    wipe(line.data(), line.size());
  }
  add("Expect:");  // else libcurl waits up to a second for "100 Continue"
  if (!has_content_type) add("Content-Type:");  // else it calls the body a form
  set(easy_, CURLOPT_HTTPHEADER, header_list_);
  return {};
}

Response Transfer::finish(CURLcode result) {
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  response_.status = static_cast<int>(status);
  // Reading was ended by take_body: the answer is here, only cut.
  if (result == CURLE_WRITE_ERROR && response_.body_truncated) result = CURLE_OK;
  if (address_refused_) {
    response_.failure = Response::Failure::kRefusedAddress;
    response_.failure_text = "the address that the name resolves to may not be connected to";
    return std::move(response_);
  }
  response_.failure = failure_of(result);
  if (result == CURLE_OK) return std::move(response_);

  // libcurl's fixed words; what it wrote into the buffer may quote addresses and parts of the URL,
  // so only its words on certificates are used, which cannot be guessed otherwise.
  response_.failure_text = curl_easy_strerror(result);
  if (response_.failure == Response::Failure::kTls && error_text_[0] != '\0') {
    response_.failure_text = error_text_;
  }
  long system_error = 0;
  curl_easy_getinfo(easy_, CURLINFO_OS_ERRNO, &system_error);
  if (response_.failure == Response::Failure::kConnect && system_error != 0) {
    response_.failure_text +=
        ": " + std::generic_category().message(static_cast<int>(system_error));
  }
  return std::move(response_);
}

TransferTimes Transfer::times() const {
  const auto get = [this](CURLINFO what) {
    curl_off_t microseconds = 0;
    curl_easy_getinfo(easy_, what, &microseconds);
    return std::chrono::microseconds(microseconds);
  };
  // libcurl counts each from the start; a phase that did not happen (a reused connection) is 0.
  const auto resolved = get(CURLINFO_NAMELOOKUP_TIME_T);
  const auto connected = get(CURLINFO_CONNECT_TIME_T);
  const auto secured = get(CURLINFO_APPCONNECT_TIME_T);
  constexpr std::chrono::microseconds kNone{0};
  TransferTimes times;
  times.resolve = resolved;
  times.connect = std::max(connected - resolved, kNone);
  times.tls = std::max(secured - connected, kNone);
  times.total = get(CURLINFO_TOTAL_TIME_T);
  long version = 0;
  curl_easy_getinfo(easy_, CURLINFO_HTTP_VERSION, &version);
  if (version == CURL_HTTP_VERSION_1_0) times.http_version = 10;
  if (version == CURL_HTTP_VERSION_1_1) times.http_version = 11;
  if (version == CURL_HTTP_VERSION_2_0) times.http_version = 20;
  times.is_peer_private = is_peer_private_;
  return times;
}

// libcurl's copies of them, wiped.
void Transfer::free_headers() noexcept {
  for (const curl_slist* each = header_list_; each != nullptr; each = each->next) {
    wipe(each->data, std::strlen(each->data));
  }
  curl_slist_free_all(header_list_);
  header_list_ = nullptr;
}

void Transfer::clear() {
  curl_easy_reset(easy_);
  free_headers();
  wipe_credentials(request_);
  request_ = {};
  egress_allowed_ = nullptr;
  is_peer_private_ = true;
  piece_ = piece_offset_ = 0;
  response_ = {};
  header_bytes_ = 0;
  address_refused_ = false;
  completion_ = nullptr;
  error_text_[0] = '\0';
}

std::size_t Transfer::read_body(char* to, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const std::vector<Bytes>& pieces = transfer.request_.body;
  std::size_t room = size * count;
  std::size_t copied = 0;
  while (room > 0 && transfer.piece_ < pieces.size()) {
    const Bytes rest = pieces[transfer.piece_].substr(transfer.piece_offset_);
    const std::size_t part = std::min(rest.size(), room);
    if (part > 0) std::memcpy(to + copied, rest.data(), part);
    copied += part;
    room -= part;
    transfer.piece_offset_ += part;
    if (part == rest.size()) {
      ++transfer.piece_;
      transfer.piece_offset_ = 0;
    }
  }
  return copied;
}

int Transfer::seek_body(void* self, curl_off_t offset, int origin) {
  auto& transfer = *static_cast<Transfer*>(self);
  if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_FAIL;
  auto left = static_cast<std::uint64_t>(offset);
  const std::vector<Bytes>& pieces = transfer.request_.body;
  transfer.piece_ = 0;
  while (transfer.piece_ < pieces.size() && left >= pieces[transfer.piece_].size()) {
    left -= pieces[transfer.piece_].size();
    ++transfer.piece_;
  }
  if (transfer.piece_ == pieces.size() && left > 0) return CURL_SEEKFUNC_FAIL;
  transfer.piece_offset_ = static_cast<std::size_t>(left);
  return CURL_SEEKFUNC_OK;
}

std::size_t Transfer::take_header(char* line, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const std::string_view text(line, size * count);
  if (text.starts_with("HTTP/")) {  // a new answer: what came before was 1xx, or a proxy's
    transfer.response_.headers.clear();
    transfer.header_bytes_ = 0;
    return text.size();
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return text.size();
  if (transfer.header_bytes_ + text.size() > kHeaderBytesMax) return text.size();
  transfer.header_bytes_ += text.size();
  std::string name(trim(text.substr(0, colon)));
  std::transform(name.begin(), name.end(), name.begin(), lower);
  transfer.response_.headers.push_back(
      {std::move(name), std::string(trim(text.substr(colon + 1)))});
  return text.size();
}

std::size_t Transfer::take_body(char* bytes, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const std::string_view text(bytes, size * count);
  std::string& body = transfer.response_.body;
  const std::size_t part = std::min(text.size(), kResponseBytesMax - body.size());
  body.append(text.substr(0, part));
  if (part < text.size()) transfer.response_.body_truncated = true;
  return part;  // fewer than offered ends the transfer: an endless answer is not read to its end
}

curl_socket_t Transfer::open_socket(void* self, curlsocktype, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(self);
  if (!is_egress_allowed(&address->addr, address->addrlen, transfer.egress_,
                         transfer.egress_allowed_.get())) {
    transfer.address_refused_ = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// Called before each request, on a reused connection too, which open_socket never sees.
int Transfer::check_peer(void* self, char* peer, char*, int, int) {
  auto& transfer = *static_cast<Transfer*>(self);
  // Another address of the same name may have been refused before this one was reached.
  transfer.address_refused_ =
      !is_egress_allowed(peer, transfer.egress_, transfer.egress_allowed_.get());
  transfer.is_peer_private_ = classify_address(peer) != AddressClass::kPublic;
  return transfer.address_refused_ ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

}  // namespace sidecast
