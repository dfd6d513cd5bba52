#include "engine/http_connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <cerrno>
#include <optional>

namespace tributary {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

// What Beast reads from: a blocking socket with a deadline on every wait, which Asio's own blocking reads lack.
class DeadlineStream {
 public:
  DeadlineStream(int fd, std::chrono::milliseconds timeout) : fd_(fd), timeout_(timeout) {}
  void set_timeout(std::chrono::milliseconds timeout) { timeout_ = timeout; }

  template <typename Buffers>
  size_t read_some(const Buffers& buffers, beast::error_code& error) {
    boost::asio::mutable_buffer first;
    for (auto it = boost::asio::buffer_sequence_begin(buffers); it != boost::asio::buffer_sequence_end(buffers); ++it) {
      first = boost::asio::mutable_buffer(*it);
      if (first.size() != 0) break;
    }
    while (true) {
      ssize_t got = recv(fd_, first.data(), first.size(), MSG_DONTWAIT);
      if (got > 0) {
        error = {};
        return static_cast<size_t>(got);
      }
      if (got == 0) {
        error = boost::asio::error::eof;
        return 0;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        error = beast::error_code(errno, boost::system::system_category());
        return 0;
      }
      pollfd wait{fd_, POLLIN, 0};
      if (poll(&wait, 1, static_cast<int>(timeout_.count())) == 0) {
        error = boost::asio::error::timed_out;
        return 0;
      }
    }
  }
  template <typename Buffers>
  size_t read_some(const Buffers& buffers) {
    beast::error_code error;
    size_t got = read_some(buffers, error);
    if (error) throw beast::system_error(error);
    return got;
  }

 private:
  int fd_;
  std::chrono::milliseconds timeout_;
};

std::string_view reason_of(int status) {
  return std::string_view(http::obsolete_reason(static_cast<http::status>(status)));
}

void parse_target(std::string_view target, HttpRequestHead& head) {
  size_t question = target.find('?');
  head.path = url_decode(target.substr(0, question));
  if (question == std::string_view::npos) return;
  std::string_view rest = target.substr(question + 1);
  while (!rest.empty()) {
    size_t end = std::min(rest.find('&'), rest.size());
    std::string_view pair = rest.substr(0, end);
    size_t equals = std::min(pair.find('='), pair.size());
    if (!pair.empty()) {
      head.parameters.emplace_back(url_decode(pair.substr(0, equals)),
                                   url_decode(pair.substr(std::min(equals + 1, pair.size()))));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

}  // namespace

struct HttpConnection::Parser {
  Parser(int fd, std::chrono::milliseconds timeout) : stream(fd, timeout) {}
  DeadlineStream stream;
  beast::flat_buffer buffer;
  std::optional<http::request_parser<http::buffer_body>> request;
};

std::string_view HttpRequestHead::parameter(std::string_view name) const {
  for (auto it = parameters.rbegin(); it != parameters.rend(); ++it) {
    if (it->first == name) return it->second;
  }
  return {};
}

HttpConnection::HttpConnection(int fd, HttpLimits limits)
    : fd_(fd), limits_(limits), parser_(std::make_unique<Parser>(fd, limits.io_timeout)) {}

HttpConnection::~HttpConnection() { close(fd_); }

Result<HttpRequestHead> HttpConnection::read_request() {
  auto& request = parser_->request.emplace();
  request.header_limit(static_cast<uint32_t>(limits_.head_bytes_max));
  request.body_limit(limits_.body_bytes_max);
  parser_->stream.set_timeout(limits_.idle_timeout);
  beast::error_code error;
  http::read_header(parser_->stream, parser_->buffer, request, error);
  parser_->stream.set_timeout(limits_.io_timeout);
  if (error == http::error::end_of_stream || error == boost::asio::error::timed_out ||
      (error && error.category() == boost::system::system_category())) {
    return Error{ErrorCode::kCancelled, error.message()};
  }
  if (error == http::error::header_limit || error == http::error::body_limit) {
    return Error{ErrorCode::kResourceExhausted, "the request's head or body is too large: " + error.message()};
  }
  if (error) return Error{ErrorCode::kInvalidInput, "not an HTTP request: " + error.message()};

  const auto& message = request.get();
  HttpRequestHead head;
  head.method = std::string(message.method_string());
  head.keep_alive = keep_alive_ = message.keep_alive();
  head.has_body = !request.is_done();
  auto format = message.find("X-ClickHouse-Format");
  if (format != message.end()) head.format = std::string(format->value());
  auto encoding = message.find("Content-Encoding");
  if (encoding != message.end()) head.content_encoding = std::string(encoding->value());
  parse_target(std::string_view(message.target()), head);
  auto expect = message.find(http::field::expect);
  if (expect != message.end()) RETURN_IF_ERROR(write_all("HTTP/1.1 100 Continue\r\n\r\n"));
  return head;
}

Result<size_t> HttpConnection::read_body(char* buffer, size_t size) {
  auto& request = *parser_->request;
  while (!request.is_done()) {
    auto& body = request.get().body();
    body.data = buffer;
    body.size = size;
    beast::error_code error;
    http::read(parser_->stream, parser_->buffer, request, error);
    if (error == http::error::body_limit) {
      return Error{ErrorCode::kResourceExhausted,
                   fmt::format("the request's body is over {} bytes; send it in parts", limits_.body_bytes_max)};
    }
    if (error && error != http::error::need_buffer) {
      return Error{ErrorCode::kUnavailable, "the request's body ended early: " + error.message()};
    }
    size_t got = size - body.size;
    if (got > 0) return got;
  }
  return size_t{0};
}

Status HttpConnection::drain_body(size_t bytes_max) {
  std::string scratch(64 << 10, '\0');
  for (size_t total = 0; total <= bytes_max;) {
    ASSIGN_OR_RETURN(size_t got, read_body(scratch.data(), scratch.size()));
    if (got == 0) return {};
    total += got;
  }
  return Error{ErrorCode::kResourceExhausted, "the rest of a refused request's body is too large"};
}

std::string HttpConnection::head_text(const HttpResponse& response, bool chunked) const {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\nConnection: {}\r\n", response.status, reason_of(response.status),
                                keep_alive_ ? "Keep-Alive" : "close");
  for (const auto& [name, value] : response.headers) {
    out += name;
    out += ": ";
    // An error's text may have any bytes; a header has one line of visible ones.
    for (char c : value) out.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c);
    out += "\r\n";
  }
  out += chunked ? std::string("Transfer-Encoding: chunked\r\n\r\n")
                 : fmt::format("Content-Length: {}\r\n\r\n", response.body.size());
  return out;
}

Status HttpConnection::respond(const HttpResponse& response) {
  return write_all(head_text(response, false) + response.body);
}

Status HttpConnection::begin_chunks(const HttpResponse& head) { return write_all(head_text(head, true)); }

Status HttpConnection::write_chunk(std::string_view bytes) {
  if (bytes.empty()) return {};  // would end the response
  RETURN_IF_ERROR(write_all(fmt::format("{:x}\r\n", bytes.size())));
  RETURN_IF_ERROR(write_all(bytes));
  return write_all("\r\n");
}

Status HttpConnection::end_chunks() { return write_all("0\r\n\r\n"); }

Status HttpConnection::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t put = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put > 0) {
      bytes.remove_prefix(static_cast<size_t>(put));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      return Error{ErrorCode::kUnavailable, fmt::format("the peer is gone (errno {})", errno)};
    }
    pollfd wait{fd_, POLLOUT, 0};
    if (poll(&wait, 1, static_cast<int>(limits_.io_timeout.count())) == 0) {
      return Error{ErrorCode::kTimeout, "the peer does not read its answer"};
    }
  }
  return {};
}

std::string url_decode(std::string_view text) {
  auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
  };
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out.push_back(' ');
    } else if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

}  // namespace tributary
