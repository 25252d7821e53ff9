// One request on its way: everything libcurl is told about it and all it tells back. A Transfer
// owns its easy handle and is used again for later requests, by the loop's thread only.
#pragma once

#include <memory>
#include <string>

#include <curl/curl.h>

#include "exporters/http/loop.h"

namespace sidecast {

class Transfer {
 public:
  Transfer();  // throws std::bad_alloc: out of memory stops the engine
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  [[nodiscard]] CURL* easy() const noexcept { return easy_; }
  [[nodiscard]] static Transfer& of(CURL* easy) noexcept;

  // Takes the request; an Error says what in it libcurl cannot send.
  [[nodiscard]] Status prepare(Request request, const TransferOptions& options,
                               const std::string& user_agent, HttpLoop::Completion completion);
  // After libcurl is done with the handle: the answer, or what kept it from coming.
  [[nodiscard]] Response finish(CURLcode result);
  [[nodiscard]] TransferTimes times() const;
  // After prepare() failed: because of where it would have gone.
  [[nodiscard]] bool is_address_refused() const noexcept { return address_refused_; }
  [[nodiscard]] HttpLoop::Completion take_completion() { return std::move(completion_); }
  // Lets go of the request and all it holds, so that an idle handle keeps nothing of it.
  void clear();

 private:
  static std::size_t read_body(char* to, std::size_t size, std::size_t count, void* self);
  static int seek_body(void* self, curl_off_t offset, int origin);
  static std::size_t take_header(char* line, std::size_t size, std::size_t count, void* self);
  static std::size_t take_body(char* bytes, std::size_t size, std::size_t count, void* self);
  static curl_socket_t open_socket(void* self, curlsocktype purpose, curl_sockaddr* address);
  static int check_peer(void* self, char* peer, char* local, int peer_port, int local_port);

  [[nodiscard]] Status set_headers();
  void free_headers() noexcept;
  [[nodiscard]] Status check_proxied(const TransferOptions& options);
  void set_method();
  void set_connection(const TransferOptions& options);

  CURL* easy_ = nullptr;
  curl_slist* header_list_ = nullptr;
  Request request_;
  std::size_t piece_ = 0;         // next byte to send: this piece of the body,
  std::size_t piece_offset_ = 0;  // at this offset
  Response response_;
  std::size_t header_bytes_ = 0;
  Egress egress_ = Egress::kOperator;
  std::shared_ptr<const AddressRanges> egress_allowed_;
  bool is_peer_private_ = true;
  bool address_refused_ = false;
  HttpLoop::Completion completion_;
  char error_text_[CURL_ERROR_SIZE] = {};
};

}  // namespace sidecast
