#include "store/clickhouse/http_client.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <mutex>

#include "store/clickhouse/clickhouse_errors.h"

namespace tributary {
namespace {

constexpr size_t idle_handles_max = 16;
constexpr size_t error_text_bytes_max = 64 << 10;
constexpr size_t socket_path_bytes_max = 107;

struct Transfer {
  std::span<const std::string_view> data;
  const std::function<void(std::string_view)>* out = nullptr;
  CURL* curl = nullptr;
  size_t piece = 0;         // of the data being sent
  size_t offset = 0;
  int exception_code = 0;
  ClickHouseAnswer answer;
  std::string error_text;
  std::string tail;         // the end of what `out` got: a late error's text is there
};

size_t send_piece(char* buffer, size_t size, size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  size_t room = size * count;
  size_t done = 0;
  while (done < room && transfer.piece < transfer.data.size()) {
    std::string_view piece = transfer.data[transfer.piece].substr(transfer.offset);
    size_t take = std::min(room - done, piece.size());
    piece.copy(buffer + done, take);
    done += take;
    transfer.offset += take;
    if (take == piece.size()) {
      ++transfer.piece;
      transfer.offset = 0;
    }
  }
  return done;
}

// curl starts again on a fresh connection when a kept one turns out to be closed: from the beginning, never elsewhere.
int seek_data(void* context, curl_off_t offset, int origin) {
  if (offset != 0 || origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  auto& transfer = *static_cast<Transfer*>(context);
  transfer.piece = 0;
  transfer.offset = 0;
  return CURL_SEEKFUNC_OK;
}

size_t take_body(char* bytes, size_t size, size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  std::string_view piece(bytes, size * count);
  long status = 0;
  curl_easy_getinfo(transfer.curl, CURLINFO_RESPONSE_CODE, &status);
  if (status == 200 && transfer.exception_code == 0) {
    (*transfer.out)(piece);
    transfer.tail.append(piece.substr(piece.size() - std::min<size_t>(piece.size(), 4096)));
    if (transfer.tail.size() > 8192) transfer.tail.erase(0, transfer.tail.size() - 4096);
  } else if (transfer.error_text.size() < error_text_bytes_max) {
    transfer.error_text.append(piece);
  }
  return piece.size();
}

size_t take_header(char* bytes, size_t size, size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  std::string_view line(bytes, size * count);
  auto value_of = [&](std::string_view name) -> std::string_view {
    if (line.size() < name.size() || strncasecmp(line.data(), name.data(), name.size()) != 0) return {};
    std::string_view value = line.substr(name.size());
    while (!value.empty() && (value.back() == '\r' || value.back() == '\n')) value.remove_suffix(1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    return value;
  };
  if (auto code = value_of("X-ClickHouse-Exception-Code:"); !code.empty()) {
    std::from_chars(code.data(), code.data() + code.size(), transfer.exception_code);
  }
  if (auto format = value_of("X-ClickHouse-Format:"); !format.empty()) transfer.answer.format = std::string(format);
  if (auto summary = value_of("X-ClickHouse-Summary:"); !summary.empty()) {
    constexpr std::string_view key = "\"written_rows\":\"";
    size_t at = summary.find(key);
    if (at != std::string_view::npos) {
      std::from_chars(summary.data() + at + key.size(), summary.data() + summary.size(), transfer.answer.written_rows);
    }
  }
  return line.size();
}

// Called at least once a second, also while the server is silent.
int go_on(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& give_up_at = *static_cast<const std::atomic<std::chrono::steady_clock::time_point>*>(context);
  return std::chrono::steady_clock::now() < give_up_at.load() ? 0 : 1;
}

std::string percent_encode(CURL* curl, std::string_view text) {
  char* encoded = curl_easy_escape(curl, text.data(), static_cast<int>(text.size()));
  std::string out = encoded == nullptr ? "" : encoded;
  curl_free(encoded);
  return out;
}

Error transport_error(CURLcode code, const std::string& name, const std::string& tail) {
  std::string what = fmt::format("{}: {}", name, curl_easy_strerror(code));
  if (code == CURLE_OPERATION_TIMEDOUT) return Error{ErrorCode::kTimeout, what};
  // An answer cut short is how ClickHouse reports an error that came after its first bytes.
  size_t text = tail.rfind("Code: ");
  if ((code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR) && text != std::string::npos &&
      tail.find("DB::Exception", text) != std::string::npos) {
    return clickhouse_error(clickhouse_code(std::string_view(tail).substr(text)), tail.substr(text));
  }
  switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
      return Error{ErrorCode::kUnavailable, name + ": no answer before the program ended"};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_COULDNT_RESOLVE_HOST: return Error{ErrorCode::kUnavailable, what + "; check the address"};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:  // a certificate is renewed without us
      return Error{ErrorCode::kUnavailable,
                   what + "; check the server's certificate, and the authority it is checked by"};
    default: return Error{ErrorCode::kUnavailable, what};
  }
}

}  // namespace

struct ClickHouseHttp::Pool {
  std::mutex mutex;
  std::vector<CURL*> idle;
  std::string socket;  // what curl is told
  int folder = -1;     // a path too long for a socket's address is reached through its folder's descriptor

  explicit Pool(const ClickHouseEndpoint& endpoint) : socket(endpoint.socket) {
    static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
    CHECK(initialized == CURLE_OK);
  }
  ~Pool() {
    for (CURL* curl : idle) curl_easy_cleanup(curl);
    if (folder >= 0) close(folder);
  }
  CURL* take() {
    std::lock_guard lock(mutex);
    if (socket.size() > socket_path_bytes_max) {
      size_t slash = socket.rfind('/');
      folder = open(socket.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
      socket = fmt::format("/proc/self/fd/{}{}", folder, socket.substr(slash));
    }
    if (idle.empty()) return curl_easy_init();
    CURL* curl = idle.back();
    idle.pop_back();
    return curl;
  }
  void give(CURL* curl) {
    curl_easy_reset(curl);  // keeps the connection
    std::lock_guard lock(mutex);
    if (idle.size() < idle_handles_max) {
      idle.push_back(curl);
    } else {
      curl_easy_cleanup(curl);
    }
  }
};

std::string ClickHouseEndpoint::name() const { return "ClickHouse at " + (socket.empty() ? url : socket); }

ClickHouseHttp::ClickHouseHttp(ClickHouseEndpoint endpoint)
    : endpoint_(std::move(endpoint)), pool_(std::make_unique<Pool>(endpoint_)) {}
ClickHouseHttp::~ClickHouseHttp() = default;

Result<ClickHouseAnswer> ClickHouseHttp::run(const ClickHouseRequest& request,
                                             const std::function<void(std::string_view)>& out) {
  if (endpoint_.password.find_first_of("\r\n") != std::string::npos) {
    return Error{ErrorCode::kInvalidInput,
                 endpoint_.name() + ": the password has a line break, which no header can carry"};
  }
  CURL* curl = pool_->take();
  CHECK(curl != nullptr);
  std::string compressed;
  std::string_view whole;
  std::span<const std::string_view> data = request.data;
  if (!data.empty() && endpoint_.compression != HttpCompression::kNone) {
    compressed = compress_body(data, endpoint_.compression);
    whole = compressed;
    data = {&whole, 1};
  }
  Transfer transfer{.data = data, .out = &out, .curl = curl};
  std::string url = (endpoint_.socket.empty() ? endpoint_.url : "http://engine") + "/?";
  bool has_data = !request.data.empty();
  if (has_data) url += "query=" + percent_encode(curl, request.sql) + "&";
  for (const auto& [name, value] : request.parameters) {
    url += percent_encode(curl, name) + "=" + percent_encode(curl, value) + "&";
  }
  url.pop_back();
  curl_slist* headers = curl_slist_append(nullptr, "Expect:");  // ask for no permission to send
  headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
  if (!compressed.empty()) {
    headers = curl_slist_append(headers,
                                fmt::format("Content-Encoding: {}", content_encoding(endpoint_.compression)).c_str());
  }
  // A server takes a key without a user for that of a user without a name.
  std::string user = endpoint_.user.empty() && !endpoint_.password.empty() ? "default" : endpoint_.user;
  if (!user.empty()) headers = curl_slist_append(headers, ("X-ClickHouse-User: " + user).c_str());
  if (!endpoint_.password.empty()) {
    headers = curl_slist_append(headers, ("X-ClickHouse-Key: " + endpoint_.password).c_str());
  }
  if (!endpoint_.socket.empty()) curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, pool_->socket.c_str());
  auto timeout = request.timeout.count() != 0 ? request.timeout : endpoint_.timeout;
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  if (!endpoint_.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, endpoint_.ca_file.c_str());
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);  // DDL may take hours, a peer that vanished shall not
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(endpoint_.connect_timeout.count()));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &go_on);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &give_up_at_);
  curl_easy_setopt(curl, CURLOPT_POST, 1L);
  if (has_data) {
    curl_off_t bytes = 0;
    for (std::string_view piece : data) bytes += static_cast<curl_off_t>(piece.size());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, bytes);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, &send_piece);
    curl_easy_setopt(curl, CURLOPT_READDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, &seek_data);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 1L << 20);
  } else {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.sql.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.sql.data());
  }
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);

  CURLcode code = curl_easy_perform(curl);
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  curl_slist_free_all(headers);
  pool_->give(curl);
  if (code != CURLE_OK && transfer.exception_code == 0) return transport_error(code, endpoint_.name(), transfer.tail);
  if (transfer.exception_code != 0 || status != 200) {
    while (!transfer.error_text.empty() && transfer.error_text.back() == '\n') transfer.error_text.pop_back();
    if (transfer.exception_code != 0) return clickhouse_error(transfer.exception_code, std::move(transfer.error_text));
    ErrorCode kind = status == 401 || status == 403 ? ErrorCode::kPermissionDenied
                     : status >= 500                ? ErrorCode::kUnavailable
                                                    : ErrorCode::kInvalidInput;
    // Servers before 19.x name no code in a header.
    if (transfer.error_text.starts_with("Code: ")) {
      int named = clickhouse_code(transfer.error_text);
      return clickhouse_error(named, std::move(transfer.error_text));
    }
    return Error{kind, fmt::format("{} answers {}: {}", endpoint_.name(), status, transfer.error_text)};
  }
  return std::move(transfer.answer);
}

Result<std::string> ClickHouseHttp::read(const ClickHouseRequest& request, size_t bytes_max) {
  std::string body;
  bool over = false;
  ASSIGN_OR_RETURN([[maybe_unused]] ClickHouseAnswer answer, run(request, [&](std::string_view piece) {
                     over = over || body.size() + piece.size() > bytes_max;
                     if (!over) body += piece;
                   }));
  if (over)
    return Error{ErrorCode::kResourceExhausted, fmt::format("an answer is over {} bytes; ask for less", bytes_max)};
  return body;
}

Status ClickHouseHttp::execute(const ClickHouseRequest& request) {
  auto answer = run(request, [](std::string_view) {});
  if (!answer.ok()) return std::move(answer).error();
  return {};
}

}  // namespace tributary
