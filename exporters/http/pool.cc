#include "exporters/http/pool.h"

#include <cerrno>
#include <chrono>
#include <new>

#include <sys/epoll.h>

#include "engine/base/assert.h"

namespace sidecast {

Pool::Pool(int epoll, std::uint32_t key) : multi_(curl_multi_init()), epoll_(epoll), key_(key) {
  if (multi_ == nullptr) throw std::bad_alloc();
  curl_multi_setopt(multi_, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Pool::watch);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, static_cast<void*>(this));
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Pool::set_time);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, static_cast<void*>(this));
}

Pool::~Pool() {
  curl_multi_cleanup(multi_);
}

void Pool::add(CURL* easy) {
  SIDECAST_ASSERT(curl_multi_add_handle(multi_, easy) == CURLM_OK);
  ++open_;
}

void Pool::remove(CURL* easy) {
  curl_multi_remove_handle(multi_, easy);
  --open_;
}

void Pool::bound_connections(std::size_t count) {
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(count));
}

void Pool::on_event(int descriptor, std::uint32_t events) {
  // What curl no longer watches, it ignores.
  const int bits = ((events & (EPOLLIN | EPOLLHUP)) != 0 ? CURL_CSELECT_IN : 0) |
                   ((events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
                   ((events & EPOLLERR) != 0 ? CURL_CSELECT_ERR : 0);
  int running = 0;
  SIDECAST_ASSERT(curl_multi_socket_action(multi_, descriptor, bits, &running) == CURLM_OK);
}

void Pool::on_time(Instant now) {
  if (!due_ || now < *due_) return;
  due_.reset();  // it says anew when the next is due
  int running = 0;
  SIDECAST_ASSERT(curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running) == CURLM_OK);
}

std::vector<std::pair<CURL*, CURLcode>> Pool::take_finished() {
  std::vector<std::pair<CURL*, CURLcode>> finished;
  int left = 0;
  while (const CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE) {
      finished.emplace_back(message->easy_handle, message->data.result);
    }
  }
  return finished;
}

int Pool::watch(CURL* /*easy*/, curl_socket_t socket, int what, void* self, void* /*known*/) {
  const auto& pool = *static_cast<const Pool*>(self);
  if (what == CURL_POLL_REMOVE) {
    ::epoll_ctl(pool.epoll_, EPOLL_CTL_DEL, socket, nullptr);  // closed already: gone already
    return 0;
  }
  epoll_event event{};
  if ((what & CURL_POLL_IN) != 0) event.events |= EPOLLIN;
  if ((what & CURL_POLL_OUT) != 0) event.events |= EPOLLOUT;
  event.data.u64 = std::uint64_t{pool.key_} << 32U | static_cast<std::uint32_t>(socket);
  if (::epoll_ctl(pool.epoll_, EPOLL_CTL_MOD, socket, &event) == 0) return 0;
  if (errno == ENOENT && ::epoll_ctl(pool.epoll_, EPOLL_CTL_ADD, socket, &event) == 0) return 0;
  return -1;  // the transfer fails: no memory, or no watch left
}

int Pool::set_time(CURLM* /*multi*/, long milliseconds, void* self) {
  auto& pool = *static_cast<Pool*>(self);
  if (milliseconds < 0) {
    pool.due_.reset();
  } else {
    pool.due_ = monotonic_now() + std::chrono::milliseconds(milliseconds);
  }
  return 0;
}

}  // namespace sidecast
