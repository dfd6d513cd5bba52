// Which run of a data directory a server of others saw last. A copy of the directory that is put back knows nothing of the runs
// that came after it was taken, and must not write beside what those left on the server: versions of rows would begin again below
// theirs, and numbers of schemas be given to others.
//
//   if (!seen.empty() && !ledger.knows(seen)) refuse();
//   ASSIGN_OR_RETURN(std::string run, ledger.begin());
//   … write `run` to the server …
//   RETURN_IF_ERROR(ledger.settle());
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tributary {

class RunLedger {
 public:
  virtual ~RunLedger() = default;
  // Whether it is a run of this directory, as it is: the last one that the server got, or one that may have reached it.
  virtual bool knows(std::string_view run) const = 0;
  // This run's name: another one each time the program starts. Durable when it returns.
  virtual Result<std::string> begin() = 0;
  // The server has it; those before may be forgotten.
  virtual Status settle() = 0;
};

}  // namespace tributary
