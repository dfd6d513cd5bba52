// The engine child: this program executed again as `tributary engine …`, an internal command that is not for people. It
// boots ClickHouse (chDB) on one directory and answers ClickHouse's HTTP interface on a unix socket there.
//
// Its box: an emptied environment, no descriptors but its own, an empty working directory (ClickHouse loads
// ./config.xml), /dev/null as stdin (an INSERT reads stdin), no core dumps, no new privileges, no internet sockets
// (a seccomp filter), death with its parent. The socket lies in a 0700 folder and only peers of the same user are
// served. Started and restarted by EngineProcess, which gives it all of this.
#pragma once

namespace tributary {

// For main(): `if (argc > 1 && std::string_view(argv[1]) == engine_command) return run_engine_child(argc, argv);`
inline constexpr const char* engine_command = "engine";

// Serves until SIGTERM (finishes requests in flight, up to 5 s) or until its parent is gone. Returns the exit code.
int run_engine_child(int argc, char** argv);

}  // namespace tributary
