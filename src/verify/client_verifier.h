// Verifies one client: all its views over one snapshot of its source, then again what differed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "verify/comparison.h"
#include "verify/source_reader.h"
#include "verify/verify.h"

namespace tributary {

class ClientVerifier {
 public:
  // `skip` tells views that need no comparison. All references outlive the verifier.
  ClientVerifier(const VerifyRequest& request, const VerifyPorts& ports, const VerifyClient& client,
                 std::function<bool(const std::string& view)> skip)
      : request_(request), ports_(ports), client_(client), skip_(std::move(skip)) {}

  ClientReport run();

 private:
  // A view that has been compared once, with what is still open.
  struct OpenView {
    const VerifyView* view = nullptr;
    size_t report = 0;  // index into report_.views
    PreparedView prepared;
    std::vector<std::string> domains;  // that it reads, as keys of domains_
    std::vector<size_t> key;           // empty: compared as a multiset
    std::map<std::string, RowDifference> open;  // by identity(): not settled yet
    std::map<std::string, int> readings;        // of the source's row as it is
    std::map<FindingKind, uint64_t> more;       // differences that were too many to be kept
  };

  Status open();
  Status describe_domains(const std::vector<std::string>& names);
  Status first_reading();
  Result<bool> wait_for(uint64_t mark);
  Status read_snapshot(const std::vector<std::string>& domains, const std::vector<VerifyKey>* keys, uint64_t& mark);
  Status prepare_views();
  Status compare_once(OpenView& view, const std::vector<VerifyKey>* keys, std::vector<RowDifference>& differences);
  Status read_analytics(const OpenView& view, const std::vector<VerifyKey>* keys);
  Status settle(OpenView& view);
  void judge(OpenView& view, std::vector<RowDifference> again, std::vector<RowDifference>& confirmed);
  void conclude(OpenView& view, std::vector<RowDifference> differences);
  const DomainTable* domain_of(const OpenView& view) const;
  static std::string identity(const OpenView& view, const RowDifference& difference);
  static std::vector<VerifyKey> open_keys(const OpenView& view);

  const VerifyRequest& request_;
  const VerifyPorts& ports_;
  const VerifyClient& client_;
  std::function<bool(const std::string&)> skip_;
  ClientReport report_;
  std::unique_ptr<ScratchDatabase> database_;
  std::unique_ptr<SourceReader> reader_;
  std::map<std::string, DomainTable> domains_;  // by lower-case name
  std::vector<OpenView> views_;
};

}  // namespace tributary
