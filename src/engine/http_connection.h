// One HTTP/1.1 connection on a stream socket, served by one thread: the server's side of the engine child.
//
//   HttpConnection connection(fd, limits);
//   while (true) {
//     auto request = connection.read_request();          // the head; the body is read in pieces
//     if (!request.ok()) break;                          // closed, silent for too long, or not HTTP
//     … connection.read_body(buffer, size) until 0 …
//     RETURN_IF_ERROR(connection.respond({.status = 200, .body = "Ok.\n"}));
//   }
//
// Parsing is Boost.Beast's. Every wait has a deadline: a peer that stops half-way holds its thread for `io_timeout` at
// most. Not thread-safe.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tributary {

struct HttpLimits {
  size_t head_bytes_max = 1 << 20;            // request line and headers; ClickHouse's own limit on a URI
  uint64_t body_bytes_max = uint64_t{4} << 30;
  std::chrono::milliseconds idle_timeout{60'000};  // between requests
  std::chrono::milliseconds io_timeout{30'000};    // without a byte of progress inside one
};

using HttpFields = std::vector<std::pair<std::string, std::string>>;

struct HttpRequestHead {
  std::string method;
  std::string path;        // decoded, "/"
  HttpFields parameters;   // of the URL, decoded, in order
  std::string format;      // X-ClickHouse-Format header
  std::string content_encoding;  // of the body, as it is written
  bool keep_alive = true;
  bool has_body = false;

  // The last value given for `name`; empty when absent.
  std::string_view parameter(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  HttpFields headers;
  std::string body;
};

class HttpConnection {
 public:
  // Owns `fd`.
  HttpConnection(int fd, HttpLimits limits);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // kCancelled: the peer closed or went silent between requests. kInvalidInput, kResourceExhausted: no HTTP, or too
  // much of it; answer with respond() and stop.
  Result<HttpRequestHead> read_request();
  // Up to `size` bytes of the request's body; 0 at its end.
  Result<size_t> read_body(char* buffer, size_t size);
  // Reads and drops what is left of the body, up to `bytes_max`: an answer sent before is lost to peers that still write.
  Status drain_body(size_t bytes_max);

  Status respond(const HttpResponse& response);
  // A response in pieces. Leaving out end_chunks() tells the peer that the answer is incomplete, which is how
  // ClickHouse reports an error after its first bytes; the connection must be closed then.
  Status begin_chunks(const HttpResponse& head);
  Status write_chunk(std::string_view bytes);
  Status end_chunks();

 private:
  struct Parser;
  std::string head_text(const HttpResponse& response, bool chunked) const;
  Status write_all(std::string_view bytes);

  int fd_;
  HttpLimits limits_;
  bool keep_alive_ = true;
  std::unique_ptr<Parser> parser_;
};

// "a%20b+c" → "a b c". nullopt-free: a broken escape stays as it is written.
std::string url_decode(std::string_view text);

}  // namespace tributary
