// What a destination is: data (Destination, a descriptor) and pure functions (Exporter). No socket,
// clock, thread or retry lives in any of them: pooling, retry, timeouts, TLS, proxies and splitting
// exist once, in engine/deliver and exporters/http.
//
// A record's way through here: dialect(Trace) -> SpanSet, encoder(Trace, SpanSet) -> bytes into the
// stage (once per group); then, per destination: encode(Batch) -> requests, authorise(request) at
// each attempt, judge(response) -> Outcome.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "engine/base/secret.h"
#include "engine/model/batch.h"
#include "engine/model/span.h"
#include "engine/model/trace.h"

namespace sidecast {

// ---- Requests and responses -------------------------------------------------------------------

struct Header {
  std::string name;
  std::string value;
};

// How requests travel. All but kHttp have a channel of their own (transport/channel.h), which reads
// a request's `url` as the place, its headers as settings and its body as what to write there.
enum class Transport : std::uint8_t {
  kHttp,     // and gRPC
  kFile,     // a file of this machine
  kConsole,  // standard output or error of the engine
  kKafka,    // a topic; `messages` in place of the body
};

// For transports that carry messages in place of one body: a record by itself.
struct KeyedMessage {
  std::string key;
  std::vector<Bytes> value;  // pieces
};

// One request. Its body is a list of pieces, so that a batch's frozen bytes are sent as they lie;
// `keep_alive` owns what the pieces view.
struct Request {
  Transport transport = Transport::kHttp;
  std::string method = "POST";
  std::string url;
  bool http2 = false;  // HTTP/2 even without TLS, which negotiates it: gRPC
  std::vector<Header> headers;
  std::vector<Bytes> body;
  // One for each record; null where there is a body. Headers are those of every message.
  std::shared_ptr<const std::vector<KeyedMessage>> messages;
  // Of the connection, for transports other than HTTP. authorise() may add secrets.
  std::vector<Header> settings;
  std::shared_ptr<const void> keep_alive;
  // Which records of the batch this request carries: [record_first, record_first + record_count).
  std::size_t record_first = 0;
  std::size_t record_count = 0;

  [[nodiscard]] std::uint64_t body_bytes() const noexcept {
    std::uint64_t total = 0;
    for (const Bytes piece : body) total += piece.size();
    if (messages == nullptr) return total;
    for (const KeyedMessage& message : *messages) {
      for (const Bytes piece : message.value) total += piece.size();
    }
    return total;
  }
};

struct Response {
  // What kept an answer from coming. kNone: `status` is the server's.
  enum class Failure { kNone, kResolve, kConnect, kTls, kTimeout, kReset, kRefusedAddress, kOther };
  Failure failure = Failure::kNone;
  std::string failure_text;  // curl's words, without addresses or secrets of ours
  int status = 0;
  std::vector<Header> headers;  // names in lower case
  std::string body;             // at most http/loop.h kResponseBytesMax; `body_truncated` when cut
  bool body_truncated = false;
  // Of a request with messages, one for each: empty when it is stored, else the transport's name
  // for what kept it from being stored. Static storage.
  std::vector<std::string_view> messages;
};

// The first header of that (lower-case) name, or empty.
[[nodiscard]] std::string_view header_value(const Response& response,
                                            std::string_view name) noexcept;
// Replaces the header of that name (any case), else adds it: authorise() may meet its own work
// again.
void set_header(Request& request, std::string_view name, std::string value);

// ---- Verdicts ---------------------------------------------------------------------------------

enum class RejectReason : std::uint8_t {
  kRejected,  // the server refused the request for good
  kPartial,   // a 2xx answer that names rejected spans
  kTooLarge,  // refused for its size and cannot be made smaller
};

// What an answer says of one record, where it speaks of each.
enum class ItemFate : std::uint8_t {
  kDelivered,
  kRetry,
  kRejected,
  kTooLarge,  // rejected for its size: tried again with less content
};

struct Verdict {
  enum class Kind {
    kDelivered,
    kPartial,   // delivered but for `rejected_spans`, or as `items` say
    kRetry,     // later; after `retry_hint` when the server gave one
    kPause,     // 401, 403, 404: keep the batches, try again slowly, tell the operator
    kSplit,     // too large: send it again in parts
    kRejected,  // for good
  };
  Kind kind = Kind::kDelivered;
  RejectReason reason = RejectReason::kRejected;
  // Of kRejected: what is in the request was refused, so if others like it were taken, a record of
  // it is to blame and its neighbours are not.
  bool blames_content = false;
  std::uint64_t rejected_spans = 0;
  // Of kPartial, where the answer names records: one fate for each record of the request, in order.
  // Only those to be retried are sent again; what is rejected has `reason`.
  std::vector<ItemFate> items;
  // Nothing is decided yet, whatever `kind`: this request is sent after `retry_hint`, authorised
  // like any, and its answer is judged in place of this one's. See exchange.h.
  std::optional<Request> followup;
  std::optional<std::chrono::milliseconds> retry_hint;
  // One line a person can act on, in our own words: it is logged and kept, so nothing that a server
  // chose freely stands in it.
  std::string explanation;
  // What the server said: printable, cut and scrubbed of our secrets, but it may quote content. For
  // a person who asked for content; never logged, never kept.
  std::string server_text;
};

// ---- Options and descriptors --------------------------------------------------------------------

// One setting of a destination, as the config, `sidecast destinations` and validation know it.
struct Option {
  std::string_view name;
  std::string_view fallback;  // empty = no default
  std::string_view help;
  bool secret = false;
  bool required = false;
  // Says how batches are cut and retried, not where they go or what is in a record: no part of the
  // destination's identity, so that tuning it leaves what is queued alone.
  bool tuning = false;
};

// Checked option values of one configured destination: every name is one of the descriptor's.
// Secrets stand apart and reach authorise() only.
struct OptionValues {
  std::map<std::string, std::string, std::less<>> values;
  std::map<std::string, std::string, std::less<>> headers;  // extra headers, not secret
  // The value, else the empty string.
  [[nodiscard]] std::string_view get(std::string_view name) const noexcept;
};

enum class Compression : std::uint8_t { kNone, kGzip, kZstd };

struct Limits {
  std::uint32_t batch_records_max = 512;
  std::uint32_t batch_spans_max = 4096;
  std::uint64_t batch_bytes_max = 4U << 20U;  // uncompressed
};

// Which spans a request becomes where its `trace` object names more than the generation.
enum class TreeShape : std::uint8_t {
  kFull,        // root -> group -> generation -> attempts
  kOpenRouter,  // generation -> attempts; the other names are metadata
};

// Names that moved between OpenTelemetry's GenAI conventions v1.41.1 and their development text.
enum class GenAiNames : std::uint8_t { kReleased, kDevelopment };

// What a destination takes of one span's attributes; 0 = no bound. What is over it is left out or
// cut, and says so. Values never nest: a structure is one JSON text.
struct AttributeCaps {
  std::uint32_t name_bytes_max = 0;   // attributes with longer names are left out, counted
  std::uint32_t value_bytes_max = 0;  // longer texts are cut and end in a marker; JSON stays JSON
  std::uint32_t list_values_max = 0;  // longer lists lose their end
  std::uint32_t count_max = 0;        // per span; the last ones are left out, counted
  bool operator==(const AttributeCaps&) const = default;
};

// How a group's records become bytes. Everything in it is part of the group's identity.
struct DialectOptions {
  std::vector<std::pair<std::string, std::string>> resource;  // resource attributes, in this order
  bool always_hash_trace_id = false;
  bool shared_roots = false;
  TreeShape tree = TreeShape::kFull;
  GenAiNames gen_ai_names = GenAiNames::kReleased;
  bool flat_metadata = false;            // openinference: metadata.<key> instead of one JSON text
  std::uint8_t generation_metadata = 0;  // opt-in groups of dialects/generation_metadata.h
  AttributeCaps caps;
  bool operator==(const DialectOptions&) const = default;
};
// A pure function: no clock, no state. Returned views live in `arena` or in the trace.
using Dialect = SpanSet (*)(const Trace&, const DialectOptions&, Arena& arena);

struct DialectEntry {
  std::string_view name;
  Dialect write;
};

// The bytes of one record, and how records share one body: prefix, records joined by separator,
// suffix.
struct Encoder {
  std::string_view name;
  std::string_view content_type;
  void (*write)(const Trace&, const SpanSet&, ByteBuffer& out);
  // Appends a record it wrote in about `bytes_max` bytes, content shortened and marked; false when
  // that makes nothing smaller. See encode/shrink.h; null = its records cannot be shrunk.
  bool (*shrink)(Bytes encoded, std::size_t bytes_max, ByteBuffer& out) = nullptr;
  std::string_view prefix;
  std::string_view separator;
  std::string_view suffix;
};

// What stands before and after the records of a body.
struct Envelope {
  std::string prefix;
  std::string suffix;
};

// What a destination says about how its records are to be written, after its options were read.
struct Format {
  const DialectEntry* dialect = nullptr;
  const Encoder* encoder = nullptr;
  Compression compression = Compression::kNone;
  bool whole_batch = true;    // records share one body; false: each is sent by itself
  bool hash_records = false;  // encode() needs Batch::record_hashes; workers have the time for it
  bool hash_body = false;     // the same for Batch::body_hash
  std::optional<Envelope> envelope;  // in place of the encoder's, where it depends on options
  DialectOptions dialect_options;
  Limits limits;

  [[nodiscard]] std::string_view prefix() const noexcept {
    return envelope ? std::string_view(envelope->prefix) : encoder->prefix;
  }
  [[nodiscard]] std::string_view suffix() const noexcept {
    return envelope ? std::string_view(envelope->suffix) : encoder->suffix;
  }
};

class Exporter {
 public:
  virtual ~Exporter() = default;
  Exporter() = default;
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  [[nodiscard]] virtual const Format& format() const noexcept = 0;
  // Requests for one batch, without credentials. No I/O, no clock. Called on the delivery thread.
  [[nodiscard]] virtual Result<std::vector<Request>> encode(std::shared_ptr<const Batch>) const = 0;
  // Adds credentials to one request, at each attempt: the only place that sees secrets.
  [[nodiscard]] virtual Status authorise(Request&, const Secrets&, Timestamp now) const = 0;
  // What the answer means. `now` is for Retry-After dates. The request is the one that was sent, so
  // that what its headers held can be kept out of the server's words.
  [[nodiscard]] virtual Verdict judge(const Request&, const Response&, Timestamp now) const = 0;
  // The cheapest request that proves address and credentials and stores nothing (or one marked
  // test record where nothing else proves it; `now` is its time). Authorise and judge it like any.
  [[nodiscard]] virtual Request probe(Timestamp now) const = 0;
  // The request that makes the table it writes to, as Destination::table_ddl describes it; nothing
  // where no request does. Authorise and judge it like any; delivered with an explanation says that
  // the table was there already, and is as it was.
  [[nodiscard]] virtual std::optional<Request> create_table() const { return std::nullopt; }

  // ---- For services whose credentials buy a token, which the requests then carry
  // The request that fetches the token, with its credentials; nothing while authorise() needs none
  // or has a good one.
  [[nodiscard]] virtual Result<std::optional<Request>> token_request(const Secrets&,
                                                                     Timestamp) const {
    return std::optional<Request>();
  }
  // Keeps the token that came, the only thing an exporter remembers. kDelivered: authorise() has
  // it. Delivery thread, like authorise().
  [[nodiscard]] virtual Verdict take_token(const Request&, const Response&, Timestamp) const {
    return {};
  }
};

struct Destination {
  std::string_view name;     // the `type:` of the config
  std::string_view summary;  // one line for `sidecast destinations`
  std::span<const Option> options;
  // Checks the values; an Error names the option and what it should be.
  Result<std::unique_ptr<const Exporter>> (*make)(const OptionValues&);
  // The SQL that makes the table it writes to; null where there is none.
  std::string (*table_ddl)(const OptionValues&) = nullptr;
  // Of all its requests. What writes to this machine is refused to tenants.
  Transport transport = Transport::kHttp;
};

}  // namespace sidecast
