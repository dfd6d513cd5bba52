// One client's capture: connects, follows, reads tables, and starts over when something ends, until it is told to stop.
#pragma once

#include <boost/asio/cancellation_signal.hpp>

#include "capture/postgres/client_context.h"

namespace tributary {

class ClientCapture {
 public:
  ClientCapture(asio::any_io_executor executor, CaptureClient client, PostgresCaptureOptions options,
                LeaseOptions lease, EventLog& log, AppendQueue& queue);

  // On the event loop.
  void start(std::function<void()> ended);
  void stop();
  // Ends the session, or the wait for the next one.
  void begin_session_again();

  // Thread-safe.
  SourceStatus status();
  void mark_head();
  bool caught_up();
  void read_again(const std::string& table, std::vector<std::string> row_keys);
  const ClientId& client() const { return context_->config.client; }

 private:
  asio::awaitable<void> run();
  asio::awaitable<Trouble> session();
  asio::awaitable<Trouble> read_source();
  asio::awaitable<Trouble> asked_to_begin_again();
  asio::awaitable<Trouble> follow();

  std::shared_ptr<ClientContext> context_;
  asio::cancellation_signal cancel_;
};

}  // namespace tributary
