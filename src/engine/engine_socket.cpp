#include "engine/engine_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tributary {
namespace {

constexpr int backlog = 128;

// The address of `path`; holds the folder's descriptor for as long as the address is used.
class SocketAddress {
 public:
  explicit SocketAddress(const std::string& path) {
    address_.sun_family = AF_UNIX;
    std::string text = path;
    if (text.size() >= sizeof address_.sun_path) {
      size_t slash = path.rfind('/');
      folder_ = open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
      text = fmt::format("/proc/self/fd/{}/{}", folder_, path.substr(slash + 1));
    }
    std::strncpy(address_.sun_path, text.c_str(), sizeof address_.sun_path - 1);
  }
  ~SocketAddress() {
    if (folder_ >= 0) close(folder_);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address_); }

 private:
  sockaddr_un address_{};
  int folder_ = -1;
};

}  // namespace

Result<int> listen_on_engine_socket(const std::string& path) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error{ErrorCode::kResourceExhausted, fmt::format("cannot make a socket (errno {})", errno)};
  SocketAddress address(path);
  unlink(path.c_str());
  mode_t before = umask(0177);
  int bound = bind(fd, address.get(), sizeof(sockaddr_un));
  umask(before);
  if (bound != 0 || listen(fd, backlog) != 0) {
    int reason = errno;
    close(fd);
    return Error{ErrorCode::kUnavailable, fmt::format("cannot listen on {}: {}", path, std::strerror(reason))};
  }
  return fd;
}

void unlink_engine_socket(const std::string& path) { unlink(path.c_str()); }

bool engine_socket_answers(const std::string& path) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  SocketAddress address(path);
  bool connected = connect(fd, address.get(), sizeof(sockaddr_un)) == 0;
  close(fd);
  return connected;
}

}  // namespace tributary
