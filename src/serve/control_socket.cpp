#include "serve/control_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <list>
#include <mutex>
#include <thread>

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr int poll_milliseconds = 100;
constexpr int request_wait_milliseconds = 5000;
constexpr size_t frame_bytes_max = 16 << 20;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Error socket_error(const std::string& what, const std::string& path) {
  return Error{ErrorCode::kUnavailable, fmt::format("{} {}: {}", what, path, std::strerror(errno))};
}

bool fill_address(const std::string& path, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.data(), path.size());
  return true;
}

// sun_path holds 107 bytes; a longer path is reached through its folder's descriptor.
struct ShortPath {
  Descriptor folder;
  std::string path;
};

ShortPath shorten(const std::string& path) {
  sockaddr_un address;
  if (fill_address(path, address)) return {Descriptor(), path};
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {Descriptor(), path};
  Descriptor folder(::open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::string through = fmt::format("/proc/self/fd/{}{}", folder.get(), path.substr(slash));
  return {std::move(folder), through};
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

std::string frame(char kind, std::string_view bytes) {
  std::string out(1, kind);
  put_u32(out, static_cast<uint32_t>(bytes.size()));
  out.append(bytes);
  return out;
}

bool receive_exactly(int fd, char* to, size_t size) {
  while (size > 0) {
    ssize_t got = ::recv(fd, to, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

bool same_user(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == ::geteuid() || peer.uid == 0;
}

class SocketStream final : public ControlStream {
 public:
  SocketStream(int fd, const std::atomic<bool>& stopping) : fd_(fd), stopping_(stopping) {}

  bool send(std::string_view data) override {
    while (!data.empty()) {
      if (stopping_ || gone_) return false;
      std::string_view part = data.substr(0, frame_bytes_max);
      if (!send_all(fd_, frame('D', part))) return gone_ = true, false;
      data.remove_prefix(part.size());
    }
    return wanted();
  }
  bool wanted() override {
    if (gone_ || stopping_) return false;
    char byte;
    ssize_t got = ::recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) gone_ = true;
    return !gone_;
  }
  bool gone() const { return gone_; }

 private:
  int fd_;
  const std::atomic<bool>& stopping_;
  bool gone_ = false;
};

Result<std::string> read_request(int fd) {
  std::string request;
  char buffer[4096];
  while (request.size() <= ControlServer::request_bytes_max) {
    pollfd waiting{fd, POLLIN, 0};
    if (::poll(&waiting, 1, request_wait_milliseconds) <= 0) break;
    ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
    if (got <= 0) break;
    request.append(buffer, static_cast<size_t>(got));
    size_t end = request.find('\n');
    if (end != std::string::npos) return request.substr(0, end);
  }
  return Error{ErrorCode::kInvalidInput, "the request is no line, too long, or did not come in time"};
}

}  // namespace

struct ControlServer::State {
  Descriptor listener;
  std::string path;
  ControlHandler handler;
  std::atomic<bool> stopping = false;
  std::thread acceptor;

  struct Connection {
    explicit Connection(Descriptor accepted) : fd(std::move(accepted)) {}
    std::thread thread;
    std::atomic<bool> done = false;
    std::mutex mutex;  // of `fd`, which goes when the answer is whole
    Descriptor fd;

    // Whoever reads or writes on it returns at once, also where the other side has stopped reading.
    void cut() {
      std::lock_guard lock(mutex);
      if (fd.get() >= 0) ::shutdown(fd.get(), SHUT_RDWR);
    }
  };
  std::list<Connection> connections;  // the acceptor's alone

  // Whatever is thrown at one request is that request's end, not the running pipeline's.
  Status answer(const std::string& request, SocketStream& stream) {
    try {
      return handler(request, stream);
    } catch (const std::exception& thrown) {
      return Error{ErrorCode::kInternal, fmt::format("the request failed: {}", thrown.what())};
    }
  }

  void serve(Connection& connection) {
    int fd = connection.fd.get();
    Status done;
    SocketStream stream(fd, stopping);
    if (auto request = read_request(fd); request.ok()) {
      done = answer(*request, stream);
    } else {
      done = request.error();
    }
    if (done.ok() && stream.wanted()) {
      send_all(fd, frame('Z', {}));
    } else if (!done.ok() && !stream.gone()) {
      std::string body(1, static_cast<char>(done.error().code));
      send_all(fd, frame('E', body + done.error().message));
    }
    {
      std::lock_guard lock(connection.mutex);
      connection.fd = Descriptor();
    }
    connection.done = true;
  }

  void reap(bool all) {
    for (auto at = connections.begin(); at != connections.end();) {
      if (!all && !at->done) {
        ++at;
        continue;
      }
      at->thread.join();
      at = connections.erase(at);
    }
  }

  void accept_all() {
    while (!stopping) {
      pollfd waiting{listener.get(), POLLIN, 0};
      int ready = ::poll(&waiting, 1, poll_milliseconds);
      reap(false);
      if (ready <= 0) continue;
      Descriptor fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (fd.get() < 0 || !same_user(fd.get())) continue;
      if (connections.size() >= connections_max) {
        std::string body(1, static_cast<char>(ErrorCode::kResourceExhausted));
        send_all(fd.get(), frame('E', body + "too many commands at once; try again"));
        continue;
      }
      Connection& connection = connections.emplace_back(std::move(fd));
      connection.thread = std::thread([this, &connection] { serve(connection); });
    }
    for (Connection& connection : connections) connection.cut();
    reap(true);
  }
};

ControlServer::ControlServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

ControlServer::~ControlServer() { stop(); }

Result<std::unique_ptr<ControlServer>> ControlServer::listen(const std::string& path, ControlHandler handler) {
  ShortPath reached = shorten(path);
  sockaddr_un address;
  if (!fill_address(reached.path, address)) {
    return Error{ErrorCode::kInvalidInput, fmt::format("{} is too long a path for a socket", path)};
  }
  auto state = std::make_unique<State>();
  state->listener = Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ::unlink(path.c_str());  // of a process that was killed: the data directory's lock says that none runs
  if (::bind(state->listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(state->listener.get(), 16) != 0) {
    return socket_error("cannot listen on", path);
  }
  state->path = path;
  state->handler = std::move(handler);
  State* running = state.get();
  state->acceptor = std::thread([running] { running->accept_all(); });
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(state)));
}

void ControlServer::stop() {
  if (!state_->acceptor.joinable()) return;
  state_->stopping = true;
  ::shutdown(state_->listener.get(), SHUT_RDWR);  // wakes the acceptor
  state_->acceptor.join();
  ::unlink(state_->path.c_str());
}

bool control_answers(const std::string& path) {
  ShortPath reached = shorten(path);
  sockaddr_un address;
  if (!fill_address(reached.path, address)) return false;
  Descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

Status control_call(const std::string& path, std::string_view request,
                    const std::function<bool(std::string_view)>& out) {
  ShortPath reached = shorten(path);
  sockaddr_un address;
  if (!fill_address(reached.path, address)) {
    return Error{ErrorCode::kInvalidInput, fmt::format("{} is too long a path for a socket", path)};
  }
  Descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return socket_error("cannot reach the running pipeline at", path);
  }
  if (!send_all(fd.get(), std::string(request) + "\n")) return socket_error("cannot send to", path);
  std::string body;
  while (true) {
    char header[5];
    if (!receive_exactly(fd.get(), header, sizeof header)) {
      return Error{ErrorCode::kUnavailable, "the running pipeline went away in the middle of its answer"};
    }
    uint32_t size;
    std::memcpy(&size, header + 1, sizeof size);
    if (size > frame_bytes_max) return Error{ErrorCode::kInternal, "the running pipeline's answer has no known form"};
    body.resize(size);
    if (!receive_exactly(fd.get(), body.data(), size)) {
      return Error{ErrorCode::kUnavailable, "the running pipeline went away in the middle of its answer"};
    }
    if (header[0] == 'Z') return {};
    if (header[0] == 'E') {
      if (body.empty()) return Error{ErrorCode::kInternal, "the running pipeline failed without a reason"};
      return Error{static_cast<ErrorCode>(body[0]), body.substr(1)};
    }
    if (header[0] != 'D') return Error{ErrorCode::kInternal, "the running pipeline's answer has no known form"};
    if (!out(body)) return {};
  }
}

}  // namespace tributary
