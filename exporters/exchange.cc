#include "exporters/exchange.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "exporters/wipe.h"

namespace sidecast {
namespace {

// A service that never gets to an end is tried again from the beginning.
constexpr int kFollowupsMax = 100;

// A header's value stays on its line.
bool is_one_line(std::string_view value) {
  return std::none_of(value.begin(), value.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  });
}

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(const ExchangeTarget& target, Request request, ExchangeDone done)
      : target_(target), request_(std::move(request)), done_(std::move(done)) {}

  [[nodiscard]] Status start() {
    const auto secrets = open_secrets(*target_.secrets);
    if (!secrets) return fail(secrets.error());
    auto token = target_.exporter->token_request(*secrets, wall_now());
    if (!token) return fail(token.error());
    if (!*token) return send();
    transfer(std::move(**token), &Exchange::got_token);
    return {};
  }

 private:
  using Answered = void (Exchange::*)(const Request& sent, const Response&, const TransferTimes&);

  [[nodiscard]] Status send() {
    Request attempt = request_;
    if (Status status = authorise(attempt); !status) return status;
    transfer(std::move(attempt), &Exchange::got_answer);
    return {};
  }

  [[nodiscard]] Status authorise(Request& attempt) const {
    const auto headers = open_secrets(*target_.secret_headers);
    if (!headers) return fail("header " + headers.error().message());
    for (const auto& [name, value] : *headers) {
      if (!is_one_line(value.reveal())) {
        return fail("the sealed value of header " + name +
                    " holds a line break or control character");
      }
      set_header(attempt, name, std::string(value.reveal()));
    }
    const auto secrets = open_secrets(*target_.secrets);
    if (!secrets) return fail(secrets.error());
    return target_.exporter->authorise(attempt, *secrets, wall_now());
  }

  // Judged as it was sent: what its headers held must not come back in an explanation.
  void transfer(Request attempt, Answered answered) {
    const std::shared_ptr<const Request> sent(new Request(attempt), [](Request* request) {
      wipe_credentials(*request);
      delete request;
    });
    target_.loop.send(std::move(attempt), target_.options,
                      [self = shared_from_this(), sent, answered](const Response& response,
                                                                  const TransferTimes& times) {
                        ((*self).*answered)(*sent, response, times);
                      });
  }

  void got_token(const Request& sent, const Response& response, const TransferTimes& times) {
    const Verdict verdict = target_.exporter->take_token(sent, response, wall_now());
    if (verdict.kind != Verdict::Kind::kDelivered) return done_(verdict, response, times);
    send_or_end(response, times);
  }

  void got_answer(const Request& sent, const Response& response, const TransferTimes& times) {
    Verdict verdict = target_.exporter->judge(sent, response, wall_now());
    if (!verdict.followup) return done_(verdict, response, times);
    if (++followups_ > kFollowupsMax) {
      verdict.followup.reset();
      verdict.kind = Verdict::Kind::kRetry;
      return done_(verdict, response, times);
    }
    request_ = std::move(*verdict.followup);
    target_.loop.after(
        verdict.retry_hint.value_or(Milliseconds(0)),
        [self = shared_from_this(), response, times] { self->send_or_end(response, times); });
  }

  void send_or_end(const Response& response, const TransferTimes& times) {
    const Status sent = send();
    if (sent) return;
    done_({.kind = Verdict::Kind::kPause, .explanation = sent.error().message()}, response, times);
  }

  ExchangeTarget target_;
  Request request_;
  ExchangeDone done_;
  int followups_ = 0;
};

}  // namespace

Status exchange(const ExchangeTarget& target, Request request, ExchangeDone done) {
  return std::make_shared<Exchange>(target, std::move(request), std::move(done))->start();
}

}  // namespace sidecast
