// What the program exits with (docs/formats/exit-codes.md): sysexits' numbers, and 1 for "looked, and found a difference".
#pragma once

namespace tributary {

inline constexpr int exit_ok = 0;
inline constexpr int exit_difference = 1;  // verify, tests: the two sides differ
inline constexpr int exit_usage = 64;  // wrong command line
inline constexpr int exit_data = 65;  // wrong input data, such as a query's SQL
inline constexpr int exit_unavailable = 69;  // a server is away, or a thing is not built yet
inline constexpr int exit_internal = 70;  // a bug here, or a broken contract there
inline constexpr int exit_cannot_create = 73;  // a file or folder cannot be made, or the output not written
inline constexpr int exit_try_again = 75;  // held by another process, timed out: may work later
inline constexpr int exit_no_permission = 77;  // refused by a database or the operating system
inline constexpr int exit_config = 78;  // wrong pipeline or lock file

}  // namespace tributary
