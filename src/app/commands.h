// The commands of `tributary`. Each returns the program's exit code; errors are printed to stderr.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "app/dead_letter_list.h"
#include "app/event_reader.h"
#include "base/exit_codes.h"
#include "config/compile.h"

namespace tributary {

struct RunOptions {
  std::string file;
  bool until_caught_up = false;
  double seconds = 0;  // until_caught_up: how long at most; 0: as long as it takes
  std::string stages;  // app/stages.h
  std::string read = "auto";  // or "streaming"
};
int run_command(const RunOptions& options);

struct CheckOptions {
  std::string file;
  bool connect = false;
  bool json = false;
};
int check_command(const CheckOptions& options);

int status_command(const std::string& file, bool json);

// Waits until all that the sources had committed when asked is queryable.
int wait_command(const std::string& file, const std::string& client, double seconds);

// `tributary client FILE reset CLIENT`: the client starts a new epoch at the next start.
int client_reset_command(const std::string& file, const std::string& client);

struct QueryOptions {
  std::string file;
  std::string client;
  std::string sql;
  std::string format;
};
int query_command(const QueryOptions& options);

struct TapCommandOptions {
  std::string file;
  TapOptions tap;
  std::string from;  // "", "start", "now", or a time
  bool until_caught_up = false;
};
int tap_command(TapCommandOptions options);

struct VerifyOptions {
  std::string file;
  std::string client;
  std::string view;
  bool against_raw = false;
  uint64_t rate = 0;  // rows of a source a second; 0: as fast as it gives them
  uint64_t memory = 0;  // bytes for a client's comparison; 0: the default
  double wait_seconds = 0;  // for what a source has to be queryable; 0: the default
  std::string resume;  // a file that notes what compared clean, so that the same command goes on there
  bool json = false;
};
int verify_command(const VerifyOptions& options);
// What is live against what raw gives when it is computed once more; no source is asked.
int verify_against_raw(const Pipeline& pipeline, const VerifyOptions& options);

struct TraceOptions {
  std::string file;
  std::string client;
  std::string relation;          // a domain or a view
  std::vector<std::string> key;  // its key columns' values
  size_t limit = 20;
  bool json = false;
};
int trace_command(const TraceOptions& options);

struct PreviewOptions {
  std::string file;
  std::string client;
  std::string view;
  size_t limit = 10;
  bool json = false;
};
int preview_command(const PreviewOptions& options);

struct ExplainOptions {
  std::string file;
  std::string view;  // empty: all
  bool json = false;
  bool svg = false;
};
int explain_command(const ExplainOptions& options);

struct DeadLetterOptions {
  std::string file;
  std::string action = "list";  // list, show, retry, drop
  DeadLetterFilter filter;
  bool json = false;
};
int dead_letters_command(const DeadLetterOptions& options);

struct ReplayOptions {
  std::string file;
  std::vector<std::string> views;    // computed anew also where their plan is the same
  std::vector<std::string> clients;  // empty: all
  std::optional<int64_t> from_micros;
  std::optional<int64_t> to_micros;
  uint32_t rate = 0;  // events/s; 0: as fast as live traffic lets it
  bool detach = false;
  bool json = false;
};
int replay_command(const ReplayOptions& options);

struct ReleaseOptions {
  std::string file;
  std::string action = "list";  // list, diff, switch, rollback, drop
  uint32_t number = 0;          // 0: the only one that can be meant
  std::string view;
  std::string client;
  size_t samples = 3;
  bool json = false;
};
int release_command(const ReleaseOptions& options);

// "2026-01-31", "2026-01-31T23:59:59", with or without a Z: UTC. Microseconds since 1970.
std::optional<int64_t> parse_time(const std::string& text);

// `password_wanted`: a variable without a value is an error.
int init_command(const std::string& url, const std::string& password_environment, bool password_wanted);

// check_pipeline(), and what libpq's reading of the sources' URLs objects to. Connects to nothing.
CheckResult check_with_sources(const std::string& file, const PlanFunctions& functions,
                               const LoadOptions& options = {});
// The pipeline file, or its errors printed and the exit code. Who asks no source needs no source's password.
std::variant<Pipeline, int> load_or_complain(const std::string& file, const LoadOptions& options = {});
// The exit code where the file's views are wrong, after naming what is.
std::optional<int> complain_of_views(const Pipeline& pipeline);
void print_errors(const std::vector<FileError>& errors);
int print_error(const Error& error);
int exit_code_of(const Error& error);

}  // namespace tributary
