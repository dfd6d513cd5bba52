// The control socket: how `status`, `query`, `tap` and `verify` reach a running pipeline. A unix socket in the data
// directory's run/ folder (mode 0700); only processes of the same user are served.
//
// One request a connection: a line of JSON. The answer is a stream of frames, kind (1 byte) · length (u32 little-endian) ·
// bytes: 'D' data, any number of; then 'Z' the end, or 'E' an error as code (u8) and message. A connection that ends without
// 'Z' or 'E' was cut: the answer is incomplete.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tributary {

class ControlStream {
 public:
  virtual ~ControlStream() = default;
  // Waits as long as the other side pauses. False once it is gone, or the server stops: end your work.
  virtual bool send(std::string_view data) = 0;
  // Whether there is still somebody to answer.
  virtual bool wanted() = 0;
};

using ControlHandler = std::function<Status(std::string_view request, ControlStream& out)>;

class ControlServer {
 public:
  static constexpr size_t connections_max = 32;  // more are refused with an error frame
  static constexpr size_t request_bytes_max = 1 << 20;

  // Each request runs `handler` on a thread of its own.
  static Result<std::unique_ptr<ControlServer>> listen(const std::string& path, ControlHandler handler);
  ~ControlServer();  // stop()
  // Refuses new requests, cuts those in flight, and returns when their handlers have ended.
  void stop();

 private:
  struct State;
  explicit ControlServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Whether somebody listens there.
bool control_answers(const std::string& path);

// Sends `request` (one line) and gives the answer's data to `out`, until its end; `out` returns false to end early.
// kUnavailable: nobody listens there.
Status control_call(const std::string& path, std::string_view request,
                    const std::function<bool(std::string_view)>& out);

}  // namespace tributary
