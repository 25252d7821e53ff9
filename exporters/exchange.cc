#include "exporters/exchange.h"

#include <memory>
#include <utility>

namespace sidecast {
namespace {

// A service that never gets to an end is tried again from the beginning.
constexpr int kFollowupsMax = 100;

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(const ExchangeTarget& target, Request request, ExchangeDone done)
      : target_(target), request_(std::move(request)), done_(std::move(done)) {}

  [[nodiscard]] Status start() {
    auto token = target_.exporter->token_request(*target_.secrets, wall_now());
    if (!token) return fail(token.error());
    if (!*token) return send();
    transfer(std::move(**token), &Exchange::got_token);
    return {};
  }

 private:
  using Answered = void (Exchange::*)(const Request& sent, const Response&, const TransferTimes&);

  [[nodiscard]] Status send() {
    Request attempt = request_;
    if (Status status = target_.exporter->authorise(attempt, *target_.secrets, wall_now());
        !status) {
      return status;
    }
    transfer(std::move(attempt), &Exchange::got_answer);
    return {};
  }

  // Judged as it was sent: what its headers held must not come back in an explanation.
  void transfer(Request attempt, Answered answered) {
    auto sent = std::make_shared<const Request>(attempt);
    target_.loop.send(std::move(attempt), target_.options,
                      [self = shared_from_this(), sent = std::move(sent), answered](
                          const Response& response, const TransferTimes& times) {
                        ((*self).*answered)(*sent, response, times);
                      });
  }

  void got_token(const Request& sent, const Response& response, const TransferTimes& times) {
    const Verdict verdict = target_.exporter->take_token(sent, response, wall_now());
    if (verdict.kind != Verdict::Kind::kDelivered) return done_(verdict, times);
    send_or_end(times);
  }

  void got_answer(const Request& sent, const Response& response, const TransferTimes& times) {
    Verdict verdict = target_.exporter->judge(sent, response, wall_now());
    if (!verdict.followup) return done_(verdict, times);
    if (++followups_ > kFollowupsMax) {
      verdict.followup.reset();
      verdict.kind = Verdict::Kind::kRetry;
      return done_(verdict, times);
    }
    request_ = std::move(*verdict.followup);
    target_.loop.after(verdict.retry_hint.value_or(Milliseconds(0)),
                       [self = shared_from_this(), times] { self->send_or_end(times); });
  }

  void send_or_end(const TransferTimes& times) {
    const Status sent = send();
    if (sent) return;
    done_({.kind = Verdict::Kind::kPause, .explanation = sent.error().message()}, times);
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
