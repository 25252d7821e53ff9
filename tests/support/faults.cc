#include "tests/support/faults.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace sidecast::test {
namespace {

using Manner = ScriptedReply::Manner;

constexpr const char* kErrorPage = "<!DOCTYPE html><html><head><title>Oh no</title></head></html>";

std::string http_date(std::chrono::seconds from_now) {
  const std::time_t then =
      std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() + from_now);
  return fmt::format("{:%a, %d %b %Y %H:%M:%S GMT}", fmt::gmtime(then));
}

std::string told_of(int status, const char* advice = "") {
  return fmt::format("HTTP {}{}", status, advice);
}

void add_statuses(std::vector<Fault>& all) {
  const auto add = [&all](int status, Meaning meaning, const std::string& told) {
    all.push_back({.name = fmt::format("status {}", status),
                   .reply = {.status = status, .body = "{}"},
                   .meaning = meaning,
                   .told = told});
  };
  for (const int status : {200, 201, 202, 204, 206}) add(status, Meaning::kTaken, "");
  for (const int status : {300, 301, 302, 303, 304, 307, 308}) {
    add(status, Meaning::kPause, told_of(status, "; redirects are not followed"));
  }
  for (const int status : {401, 403, 407}) {
    add(status, Meaning::kPause, told_of(status, "; check the credentials"));
  }
  add(404, Meaning::kPause, told_of(404, "; check the endpoint"));
  for (const int status : {400, 402, 405, 406, 408, 409, 410, 411, 412, 414, 415, 416, 417,
                           418, 421, 422, 423, 424, 425, 426, 428, 431, 444, 451, 499, 500,
                           501, 505, 506, 507, 508, 510, 511, 520, 529, 599, 600, 999}) {
    add(status, Meaning::kRefused, told_of(status));
  }
  add(413, Meaning::kTooLarge, told_of(413, "; the request is larger than it takes"));
  for (const int status : {429, 502, 503, 504}) add(status, Meaning::kRetry, told_of(status));
  all.push_back({.name = "status 400 that names size",
                 .reply = {.status = 400, .body = "http: request body too large"},
                 .meaning = Meaning::kTooLarge,
                 .told = told_of(400, "; the request is larger than it takes")});
}

void add_retry_after(std::vector<Fault>& all) {
  const auto add = [&all](int status, const std::string& value, Meaning meaning) {
    all.push_back({.name = fmt::format("status {}, retry-after: {}", status, value),
                   .reply = {.status = status, .headers = {{"retry-after", value}}},
                   .meaning = meaning,
                   .told = told_of(status)});
  };
  for (const int status : {429, 503}) {
    add(status, "0", Meaning::kRetry);
    add(status, "1", Meaning::kRetry);
    add(status, "1.5", Meaning::kRetry);
    add(status, "3120", Meaning::kWait);
    add(status, http_date(std::chrono::seconds(2)), Meaning::kRetry);
    add(status, http_date(std::chrono::seconds(3120)), Meaning::kWait);
    add(status, http_date(-std::chrono::hours(24)), Meaning::kRetry);
    // Absurd: as much of it as can be kept, or as if there were none.
    add(status, "99999999999999999999999999", Meaning::kWait);
    add(status, "-5", Meaning::kRetry);
    add(status, "soon", Meaning::kRetry);
    add(status, "Fri, 31 Feb 2099 99:99:99 GMT", Meaning::kRetry);
    add(status, "1e9 or so", Meaning::kRetry);
  }
}

void add_broken_answers(std::vector<Fault>& all) {
  const auto add = [&all](const char* name, Manner manner, const char* told) {
    all.push_back({.name = name,
                   .reply = {.body = std::string(4000, ' ') + "{}", .manner = manner},
                   .meaning = Meaning::kRetry,
                   .told = told});
  };
  add("reset before the request was read", Manner::kResetUnread, "connection lost");
  add("reset instead of an answer", Manner::kReset, "connection lost");
  add("closed instead of an answer", Manner::kClosed, "connection lost");
  add("closed within the status line", Manner::kHalfHead, "connection lost");
  add("half an answer", Manner::kHalf, "connection lost");
  add("reset within the answer", Manner::kResetInBody, "connection lost");
  add("another protocol", Manner::kNoHttp, "request failed");
  add("never an answer", Manner::kNever, "no answer in time");
  add("an answer in drops", Manner::kDripped, "no answer in time");
  all.push_back({.name = "an answer without end",
                 .reply = {.body = std::string(1U << 16U, 'x'), .manner = Manner::kEndless},
                 .meaning = Meaning::kTaken});
  all.push_back(
      {.name = "an error without end",
       .reply = {.status = 503, .body = std::string(1U << 16U, 'x'), .manner = Manner::kEndless},
       .meaning = Meaning::kRetry,
       .told = told_of(503)});
  all.push_back({.name = "an answer that only the end of the connection ends",
                 .reply = {.body = "{}", .manner = Manner::kUntilClose},
                 .meaning = Meaning::kTaken});
  all.push_back({.name = "an answer after half a second",
                 .reply = {.body = "{}", .delay = std::chrono::milliseconds(500)},
                 .meaning = Meaning::kTaken});
}

void add_strange_content(std::vector<Fault>& all) {
  const auto add = [&all](const std::string& name, ScriptedReply reply, Meaning meaning,
                          const std::string& told) {
    all.push_back({.name = name, .reply = std::move(reply), .meaning = meaning, .told = told});
  };
  const HeaderFields html = {{"content-type", "text/html"}};
  const HeaderFields json = {{"content-type", "application/json"}};
  const HeaderFields protobuf = {{"content-type", "application/x-protobuf"}};
  const std::string web_page = "; check the endpoint: a web page answered";
  add("a web page with 200", {.headers = html, .body = kErrorPage}, Meaning::kPause,
      told_of(200, web_page.c_str()));
  add("a web page that calls itself JSON", {.headers = json, .body = kErrorPage}, Meaning::kPause,
      told_of(200, web_page.c_str()));
  add("a web page with 503", {.status = 503, .headers = html, .body = kErrorPage}, Meaning::kRetry,
      told_of(503));
  add("a web page with 400", {.status = 400, .headers = html, .body = kErrorPage},
      Meaning::kRefused, told_of(400));
  add("JSON that is none", {.headers = json, .body = R"({"partialSuccess":{"rejectedSpans")"},
      Meaning::kTaken, "");
  add("protobuf that is none", {.headers = protobuf, .body = "\x0a\xff\xff\xff\xff\xff"},
      Meaning::kTaken, "");
  add("a word", {.headers = {{"content-type", "text/plain"}}, .body = "ok"}, Meaning::kTaken, "");
  add("no content and no type", {}, Meaning::kTaken, "");
  // A gRPC server says what became of a call in grpc-status, behind a 200 that means nothing.
  const std::string grpc = "; check the endpoint: a gRPC server answered";
  add("a gRPC answer of trailers only",
      {.headers = {{"content-type", "application/grpc"}, {"grpc-status", "12"}}}, Meaning::kPause,
      told_of(200, grpc.c_str()));
  add("a gRPC answer without a status", {.headers = {{"content-type", "application/grpc+proto"}}},
      Meaning::kPause, told_of(200, grpc.c_str()));
}

void add_partial_success(std::vector<Fault>& all) {
  const auto add = [&all](const std::string& name, std::uint64_t spans, const std::string& body) {
    all.push_back({.name = name,
                   .reply = {.headers = {{"content-type", "application/json"}}, .body = body},
                   .meaning = spans > 0 ? Meaning::kPartly : Meaning::kTaken,
                   .told = spans > 0 ? fmt::format("HTTP 200; rejected spans: {}", spans) : "",
                   .rejected_spans = spans});
  };
  const auto rejects = [](const std::string& spans) {
    return fmt::format(R"({{"partialSuccess":{{"rejectedSpans":{},"errorMessage":"no"}}}})", spans);
  };
  add("200 that rejects two", 2, rejects("2"));
  add("200 that rejects two, as text", 2, rejects("\"2\""));
  add("200 that rejects all", 5, rejects("5"));
  add("200 that rejects more than there is", 1'000'000, rejects("1000000"));
  add("200 with an empty partial success", 0, R"({"partialSuccess":{}})");
  add("200 with a partial success of null", 0, R"({"partialSuccess":null})");
  all.push_back({.name = "200 with a warning",
                 .reply = {.headers = {{"content-type", "application/json"}}, .body = rejects("0")},
                 .meaning = Meaning::kTaken,
                 .told = "HTTP 200; accepted, with a warning"});
  all.push_back(
      {.name = "200 that rejects fewer than none",
       .reply = {.headers = {{"content-type", "application/json"}}, .body = rejects("-3")},
       .meaning = Meaning::kTaken,
       .told = "HTTP 200; accepted, with a warning"});
}

}  // namespace

std::vector<Fault> faults() {
  std::vector<Fault> all;
  add_statuses(all);
  add_retry_after(all);
  add_broken_answers(all);
  add_strange_content(all);
  add_partial_success(all);
  return all;
}

std::size_t taken_of(const Fault& fault, std::size_t records) {
  if (fault.meaning == Meaning::kTaken) return records;
  if (fault.meaning != Meaning::kPartly) return 0;
  return records - static_cast<std::size_t>(std::min<std::uint64_t>(records, fault.rejected_spans));
}

}  // namespace sidecast::test
