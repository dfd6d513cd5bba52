#include "engine/chdb_api.h"

#include <dlfcn.h>

namespace tributary {

Result<ChdbApi> ChdbApi::load(const std::string& library) {
  // Local: the library carries a copy of half the world (zlib, OpenSSL, a C++ runtime) that must not serve our symbols.
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    return Error{ErrorCode::kNotFound,
                 fmt::format("the ClickHouse engine's library cannot be loaded: {}; run ./dev setup",
                             reason == nullptr ? library : std::string(reason))};
  }
  ChdbApi api;
  std::string missing;
  auto bind = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
    if (function == nullptr) missing = name;
  };
  bind(api.version, "chdb_version");
  bind(api.set_signal_handlers_enabled, "chdb_set_signal_handlers_enabled");
  bind(api.connect, "chdb_connect");
  bind(api.close_conn, "chdb_close_conn");
  bind(api.classify_query_n, "chdb_classify_query_n");
  bind(api.query_with_params_n, "chdb_query_with_params_n");
  bind(api.stream_query_with_params_n, "chdb_stream_query_with_params_n");
  bind(api.stream_fetch_result, "chdb_stream_fetch_result");
  bind(api.stream_cancel_query, "chdb_stream_cancel_query");
  bind(api.destroy_query_result, "chdb_destroy_query_result");
  bind(api.stream_insert_n, "chdb_stream_insert_n");
  bind(api.stream_insert_error, "chdb_stream_insert_error");
  bind(api.stream_append, "chdb_stream_append");
  bind(api.stream_done, "chdb_stream_done");
  bind(api.stream_cancel_insert, "chdb_stream_cancel_insert");
  bind(api.destroy_insert_stream, "chdb_destroy_insert_stream");
  bind(api.result_error, "chdb_result_error");
  bind(api.result_buffer, "chdb_result_buffer");
  bind(api.result_length, "chdb_result_length");
  bind(api.result_elapsed, "chdb_result_elapsed");
  bind(api.result_rows_read, "chdb_result_rows_read");
  bind(api.result_bytes_read, "chdb_result_bytes_read");
  bind(api.result_rows_written, "chdb_result_rows_written");
  bind(api.result_bytes_written, "chdb_result_bytes_written");
  if (!missing.empty()) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{} has no function {}; use the pinned version, see deps/", library, missing)};
  }
  return api;
}

}  // namespace tributary
