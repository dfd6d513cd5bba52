// tributary COMMAND FILE …
#include <fmt/format.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "app/commands.h"
#include "base/nearest_name.h"
#include "capture/postgres/connection.h"
#include "config/environment.h"
#include "config/scalars.h"
#include "engine/engine_child.h"

namespace {

using namespace tributary;  // NOLINT: main's file joins everything

// Commands of later versions: known by name, and refused by name.
constexpr std::string_view later_commands[] = {"token", "top"};

std::string examples(const char* text) { return std::string("Examples:\n") + text; }

std::vector<std::string> command_names(CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

int refuse_command(const std::vector<std::string>& names, std::string_view name) {
  auto meant = nearest_name(name, names);
  std::fprintf(stderr, "tributary: there is no command '%s'%s; `tributary --help` names them\n",
               std::string(name).c_str(), meant ? fmt::format("; did you mean '{}'?", *meant).c_str() : "");
  return exit_usage;
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("Tributary: changes of many clients' databases, kept ready as analytics, each client apart.");
  // The library takes -1 for the largest number that there is.
  CLI::Validator count(
      [](std::string& text) {
        bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
        return digits ? "" : text + " is no whole number";
      },
      "");
  CLI::Validator rate(
      [](std::string& text) {
        bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
        bool zero = text.find_first_not_of('0') == std::string::npos;
        return digits && !zero ? "" : text + " is no whole number from 1 on; without the option there is no limit";
      },
      "");
  CLI::Validator size(
      [](std::string& text) {
        auto bytes = parse_size(text);
        if (!bytes || *bytes < 64u << 20) return text + " is no size from 64MiB on, such as 2GiB";
        text = std::to_string(*bytes);
        return std::string();
      },
      "");
  app.name("tributary");
  app.require_subcommand(1);
  app.set_version_flag("--version", "tributary 0.1.0");
  app.footer(
      examples("  tributary init postgresql://tributary@db.example/shop > shop.yaml\n"
               "  tributary check shop.yaml\n"
               "  tributary run shop.yaml\n"
               "  tributary status shop.yaml\n"
               "  tributary query shop.yaml --client acme 'SELECT count() FROM orders'\n"
               "Exit codes are sysexits' (docs/formats/exit-codes.md); 1 is a difference that verify found."));
  int code = exit_ok;

  std::string url;
  std::string password_environment = "PGPASSWORD";
  auto* init = app.add_subcommand("init", "look at a database and write a pipeline file for it to stdout");
  init->add_option("URL", url, "postgresql://user@host:port/database, without a password")->required();
  auto* password_option =
      init->add_option("--password-env", password_environment, "environment variable that holds the password")
          ->capture_default_str();
  init->footer(examples("  PGPASSWORD=… tributary init postgresql://tributary@db.example/shop > shop.yaml"));
  init->callback([&] { code = init_command(url, password_environment, password_option->count() > 0); });

  CheckOptions check_options;
  auto* check = app.add_subcommand("check", "check a pipeline file, offline or with its databases");
  check->add_option("FILE", check_options.file, "the pipeline file")->required();
  check->add_flag("--connect", check_options.connect,
                  "also look at the databases: rights, settings, and the tables' columns, which the lock file keeps");
  check->add_flag("--json", check_options.json, "the answer as JSON");
  check->footer(examples("  tributary check shop.yaml\n  tributary check shop.yaml --connect"));
  check->callback([&] { code = check_command(check_options); });

  CLI::Validator positive(
      [](std::string& text) {
        char* end = nullptr;
        double value = std::strtod(text.c_str(), &end);
        return value > 0 && value <= 1e9 && *end == '\0' ? "" : text + " is no number of seconds above 0";
      },
      "");
  RunOptions run_options;
  auto* run = app.add_subcommand("run", "run the pipeline in the foreground, until SIGTERM or Ctrl-C");
  run->add_option("FILE", run_options.file, "the pipeline file")->required();
  run->add_flag("--until-caught-up", run_options.until_caught_up,
                "end when all that the sources had committed at the start is queryable");
  run->add_option("--seconds", run_options.seconds,
                  "with --until-caught-up: how long at most; the exit code is 75 where that was not enough")
      ->needs("--until-caught-up")
      ->check(positive);
  run->add_option("--stages", run_options.stages,
                  "all (default); with log: kafka://, capture on any number of nodes and process on one");
  run->add_option("--read", run_options.read,
                  "auto: far behind its head a source is read in bulk, by SQL, which is faster; streaming: never, so "
                  "that the source needs no room for temporary files")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "streaming"}));
  run->footer(examples("  tributary run shop.yaml\n  tributary run shop.yaml --until-caught-up --seconds 600"));
  run->callback([&] { code = run_command(run_options); });

  std::string status_file;
  bool status_json = false;
  auto* status = app.add_subcommand("status", "state, lag and problems of each client, running or not");
  status->add_option("FILE", status_file, "the pipeline file")->required();
  status->add_flag("--json", status_json, "the answer as JSON");
  status->footer(examples("  tributary status shop.yaml\n  watch tributary status shop.yaml"));
  status->callback([&] { code = status_command(status_file, status_json); });

  std::string wait_file;
  std::string wait_client;
  double wait_seconds = 60;
  auto* wait = app.add_subcommand("wait", "wait until all that is committed now is queryable");
  wait->add_option("FILE", wait_file, "the pipeline file of a running pipeline")->required();
  wait->add_option("--client", wait_client, "what this client has committed, whatever of the others is still to come");
  wait->add_option("--seconds", wait_seconds, "how long at most")->capture_default_str()->check(positive);
  wait->footer(examples("  tributary wait shop.yaml --seconds 10 && tributary query shop.yaml --client acme '…'"));
  wait->callback([&] { code = wait_command(wait_file, wait_client, wait_seconds); });

  std::string client_file;
  std::string reset_client;
  auto* client = app.add_subcommand("client", "change one client's state");
  client->add_option("FILE", client_file, "the pipeline file")->required();
  client->require_subcommand(1);
  auto* reset = client->add_subcommand(
      "reset", "read all of a client's tables again, after its slot was lost or its database was restored");
  reset->add_option("CLIENT", reset_client, "the client's id")->required();
  reset->footer(examples(
      "  tributary client shop.yaml reset acme\n"
      "The slot is made again and every table is read again, at once where the pipeline runs, else at its next\n"
      "start; rows that vanished meanwhile disappear. Queries see the old rows until then."));
  reset->callback([&] { code = client_reset_command(client_file, reset_client); });

  QueryOptions query_options;
  auto* query = app.add_subcommand("query", "ask a client's analytics in ClickHouse's SQL");
  query->add_option("FILE", query_options.file, "the pipeline file")->required();
  query->add_option("SQL", query_options.sql, "one SELECT")->required();
  query->add_option("--client", query_options.client, "whose rows")->required();
  query->add_option("--format", query_options.format, "ClickHouse's name of an output format: JSONEachRow, CSV, …");
  query->footer(
      examples("  tributary query shop.yaml --client acme 'SELECT status, count() FROM orders GROUP BY status'\n"
               "  tributary query shop.yaml --client acme 'SELECT * FROM users LIMIT 3' --format JSONEachRow"));
  query->callback([&] { code = query_command(query_options); });

  TapCommandOptions tap_options;
  auto* tap = app.add_subcommand("tap", "events as lines of Debezium JSON");
  tap->add_option("FILE", tap_options.file, "the pipeline file")->required();
  tap->add_option("PATTERN", tap_options.tap.pattern, "event names, with * and ?: 'order.*', '*.deleted'")
      ->capture_default_str();
  tap->add_option("--client", tap_options.tap.client, "of this client alone");
  tap->add_option("--from", tap_options.from, "start, now, or a time in UTC (default: now; start where nothing runs)");
  tap->add_flag("--until-caught-up", tap_options.until_caught_up,
                "end at the newest event instead of waiting for more");
  std::string store = "log";
  tap->add_option("--store", store, "log, or raw: everything that the raw store keeps")
      ->check(CLI::IsMember({"log", "raw"}));
  tap->footer(
      examples("  tributary tap shop.yaml 'order.*' --client acme\n"
               "  tributary tap shop.yaml --from start --until-caught-up | jq .value.op"));
  tap->callback([&] {
    tap_options.tap.raw = store == "raw";
    code = tap_command(tap_options);
  });

  VerifyOptions verify_options;
  auto* verify = app.add_subcommand("verify", "compare the analytics with the sources' own tables, row by row");
  verify->add_option("FILE", verify_options.file, "the pipeline file")->required();
  verify->add_option("--client", verify_options.client, "this client alone");
  verify->add_option("--view", verify_options.view, "this view alone");
  std::string against = "sources";
  verify->add_option("--against", against, "sources, or raw: what its events give when they are computed once more")
      ->check(CLI::IsMember({"sources", "raw"}));
  verify
      ->add_option("--rate", verify_options.rate,
                   "read at most so many rows/s of a source; without: as fast as it gives")
      ->check(rate);
  verify
      ->add_option("--memory", verify_options.memory,
                   "for a client's comparison; what is more goes to a temporary folder")
      ->transform(size)
      ->default_str("512MiB");
  verify
      ->add_option("--wait", verify_options.wait_seconds,
                   "how long what a source has may take to be queryable, while the pipeline runs")
      ->default_str("60")
      ->check(positive);
  verify->add_option(
      "--resume", verify_options.resume,
      "note in this file which views compared clean; named again, they are left out, until all are clean");
  verify->add_flag("--json", verify_options.json, "the report as JSON");
  verify->footer(
      examples("  tributary verify shop.yaml\n  tributary verify shop.yaml --client acme --view orders\n"
               "  tributary verify shop.yaml --rate 20000 --resume verify.state   # gently, and in several goes\n"
               "  tributary verify shop.yaml --against raw\n"
               "Exit code 1: there is a difference. While the pipeline runs, writers may go on."));
  verify->callback([&] {
    verify_options.against_raw = against == "raw";
    code = verify_command(verify_options);
  });

  ExplainOptions explain_options;
  auto* explain = app.add_subcommand("explain", "how views are computed: operators, keys, state");
  explain->add_option("FILE", explain_options.file, "the pipeline file")->required();
  explain->add_option("VIEW", explain_options.view, "this view alone");
  explain->add_flag("--json", explain_options.json, "the plans as JSON");
  explain->add_flag("--svg", explain_options.svg, "the plans as a picture");
  explain->footer(examples("  tributary explain shop.yaml\n  tributary explain shop.yaml sales --svg > sales.svg"));
  explain->callback([&] { code = explain_command(explain_options); });

  DeadLetterOptions dead_options;
  auto* dead = app.add_subcommand("dead-letters", "rows that could not be computed: list, show, retry, drop");
  dead->add_option("FILE", dead_options.file, "the pipeline file")->required();
  dead->add_option("ACTION", dead_options.action, "list (default), show (with the row's events), retry, drop")
      ->check(CLI::IsMember({"list", "show", "retry", "drop"}));
  dead->add_option("ID", dead_options.filter.id, "of one letter, as `list` shows it; without: all");
  dead->add_option("--client", dead_options.filter.client, "of this client alone");
  dead->add_option("--view", dead_options.filter.view, "of this view alone");
  dead->add_option("--reason", dead_options.filter.reason, "those whose reason has this text in it");
  dead->add_flag("--json", dead_options.json, "the letters as JSON");
  dead->footer(
      examples("  tributary dead-letters shop.yaml list --client acme\n"
               "  tributary dead-letters shop.yaml show --view sales\n"
               "  tributary dead-letters shop.yaml retry --client acme --view sales\n"
               "  tributary dead-letters shop.yaml drop --client acme --view sales --reason 'could not convert'\n"
               "A letter goes by itself when its row is changed so that it can be computed, or is deleted.\n"
               "`drop` takes letters off the list; their rows stay out of the view."));
  dead->callback([&] { code = dead_letters_command(dead_options); });

  TraceOptions trace_options;
  auto* trace = app.add_subcommand("trace", "where a row comes from: its events, and what each did to every view");
  trace->add_option("FILE", trace_options.file, "the pipeline file")->required();
  trace->add_option("RELATION", trace_options.relation, "a domain or a view")->required();
  trace->add_option("KEY", trace_options.key, "the values of its key columns; NULL for none");
  trace->add_option("--client", trace_options.client, "whose row")->required();
  trace->add_option("--limit", trace_options.limit, "the newest events, or rows of an aggregate, shown")
      ->capture_default_str()
      ->check(count);
  trace->add_flag("--json", trace_options.json, "the answer as JSON");
  trace->footer(examples(
      "  tributary trace shop.yaml --client acme orders 42\n"
      "  tributary trace shop.yaml --client acme revenue_daily 2026-01-31 DE\n"
      "Rows before and after an event are computed from raw, over what the client's other rows were then. Of an\n"
      "aggregate's row the rows are shown that it counts, and whether their sums are its numbers."));
  trace->callback([&] { code = trace_command(trace_options); });

  PreviewOptions preview_options;
  auto* preview = app.add_subcommand("preview", "what a view of the file would give on raw, beside what is there");
  preview->add_option("FILE", preview_options.file, "the pipeline file, with its views as they are to be")->required();
  preview->add_option("--view", preview_options.view, "which view")->required();
  preview->add_option("--client", preview_options.client, "whose rows")->required();
  preview->add_option("--limit", preview_options.limit, "rows shown, of each kind")
      ->capture_default_str()
      ->check(count);
  preview->add_flag("--json", preview_options.json, "the answer as JSON");
  preview->footer(
      examples("  tributary preview shop.yaml --view sales --client acme --limit 20\n"
               "Nothing of the pipeline changes, and readers see nothing of it."));
  preview->callback([&] { code = preview_command(preview_options); });

  CLI::Validator time([](std::string& text) { return parse_time(text) ? "" : text + " is no time in UTC"; }, "");
  ReplayOptions replay_options;
  std::string replay_from;
  std::string replay_to;
  auto* replay = app.add_subcommand("replay", "build the file's views from raw beside what is live, as a release");
  replay->add_option("FILE", replay_options.file, "the pipeline file, with its views as they are to be")->required();
  replay->add_option("--view", replay_options.views, "compute it anew also if it did not change; may be repeated");
  replay->add_option("--client", replay_options.clients, "of this client alone, to look at; may be repeated");
  replay->add_option("--from", replay_from, "only what was committed from this time on, UTC")->check(time);
  replay->add_option("--to", replay_to, "only what was committed before this time, UTC")->check(time);
  replay
      ->add_option("--rate", replay_options.rate, "at most so many events/s; without: as fast as live traffic lets it")
      ->check(rate);
  replay->add_flag("--detach", replay_options.detach, "do not wait: the running pipeline builds it");
  replay->add_flag("--json", replay_options.json, "the release as JSON");
  replay->footer(examples(
      "  tributary replay shop.yaml                       # after views were changed in the file\n"
      "  tributary replay shop.yaml --view sales          # once more by the same SQL\n"
      "  tributary replay shop.yaml --client acme --from 2026-01-01 --rate 50000\n"
      "Readers see nothing of it before `tributary release shop.yaml switch`. Killed, it goes on where it was\n"
      "with the next `run` or `replay`. --client, --from and --to make a release that is only to look at."));
  replay->callback([&] {
    if (!replay_from.empty()) replay_options.from_micros = parse_time(replay_from);
    if (!replay_to.empty()) replay_options.to_micros = parse_time(replay_to);
    code = replay_command(replay_options);
  });

  ReleaseOptions release_options;
  auto* release = app.add_subcommand("release", "releases of the views: list, diff, switch, rollback, drop");
  release->add_option("FILE", release_options.file, "the pipeline file")->required();
  release->add_option("ACTION", release_options.action, "list (default), diff, switch, rollback, drop")
      ->check(CLI::IsMember({"list", "diff", "switch", "rollback", "drop"}));
  release->add_option("RELEASE", release_options.number, "its number, as `list` shows it; without: the only other one")
      ->check(count);
  release->add_option("--view", release_options.view, "diff of this view alone");
  release->add_option("--client", release_options.client, "diff of this client alone");
  release->add_option("--samples", release_options.samples, "diff: rows shown of each kind")
      ->capture_default_str()
      ->check(count);
  release->add_flag("--json", release_options.json, "the answer as JSON");
  release->footer(examples(
      "  tributary release shop.yaml list\n"
      "  tributary release shop.yaml diff 2 --view sales --samples 10\n"
      "  tributary release shop.yaml switch 2\n"
      "  tributary release shop.yaml rollback\n"
      "What was live before stays computed, so that rollback is exact, until it is dropped. A dropped release\n"
      "is built again by `replay`, since raw keeps every event."));
  release->callback([&] { code = release_command(release_options); });

  for (std::string_view name : later_commands) {
    auto* later = app.add_subcommand(std::string(name), "not built yet")->allow_extras();
    later->callback([&code, name] {
      std::fprintf(stderr, "tributary: %s is not built yet\n", std::string(name).c_str());
      code = exit_unavailable;
    });
  }

  // An empty one, of a variable that is not set, would mean all.
  CLI::Validator name([](std::string& text) { return std::string(text.empty() ? "an empty text is no name" : ""); },
                      "");
  for (CLI::App* command : app.get_subcommands({})) {
    for (const char* option : {"--client", "--view"}) {
      if (CLI::Option* known = command->get_option_no_throw(option)) known->check(name);
    }
  }

  // Without its FILE the parser would take `reset` for it, and explain `client`.
  std::vector<std::string_view> words(argv + 1, argv + argc);
  bool wants_help = !words.empty() && (words.back() == "--help" || words.back() == "-h");
  if (wants_help && words.size() == 3 && words[0] == "client" && words[1] == "reset") {
    std::printf("%s", reset->help().c_str());
    return exit_ok;
  }
  std::vector<std::string> names = command_names(app);
  bool is_command = !words.empty() && std::find(names.begin(), names.end(), words[0]) != names.end();
  if (!words.empty() && !words[0].starts_with('-') && !is_command) return refuse_command(names, words[0]);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    int shown = app.exit(error);
    return shown == 0 ? exit_ok : exit_usage;
  }
  return code;
}

// Each client is some connections, each part of a store a file. False: fewer may be open than any command needs.
bool may_open_files() {
  constexpr rlim_t files_min = 128;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return true;
  if (files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  if (files.rlim_cur >= files_min) return true;
  std::fprintf(stderr,
               "tributary: this process may have %ju files open (`ulimit -n`), and needs at least %ju; raise it\n",
               static_cast<uintmax_t>(files.rlim_cur), static_cast<uintmax_t>(files_min));
  return false;
}

// An answer that did not arrive whole (a full disk, say) is none.
int written(int code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::fprintf(stderr, "tributary: the output could not be written whole\n");
  return exit_cannot_create;
}

}  // namespace

int main(int argc, char** argv) {
  // libmongoc makes a file of counters when it is loaded, used or not, and leaves it behind when the process is killed.
  ::shm_unlink(fmt::format("/mongoc-{}", ::getpid()).c_str());
  if (argc > 1 && std::string_view(argv[1]) == engine_command) return run_engine_child(argc, argv);
  if (!may_open_files()) return exit_no_permission;
  hide_from_libraries(libpq_variables());
  // More heaps than cores keep memory in more pieces, and no thread from waiting.
  ::mallopt(M_ARENA_MAX, static_cast<int>(std::max(2U, std::thread::hardware_concurrency())));
  return written(parse_and_run(argc, argv));
}
