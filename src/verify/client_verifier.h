// Verifies one client: all its views over one snapshot of its source, then again what differed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "verify/comparison.h"
#include "verify/source_reader.h"
#include "verify/verify.h"
#include "verify/view_evaluation.h"

namespace tributary {

class ClientVerifier {
 public:
  // `skip` tells views that need no comparison. All references outlive the verifier.
  ClientVerifier(const VerifyRequest& request, const VerifyPorts& ports, const VerifyClient& client,
                 std::function<bool(const std::string& view)> skip)
      : request_(request), ports_(ports), client_(client), skip_(std::move(skip)) {}

  ClientReport run();

 private:
  // A view of the request, and once it has been compared, what is still open.
  struct OpenView {
    const VerifyView* view = nullptr;
    std::optional<size_t> report;  // index into report_.views; none: only a definition
    PreparedView prepared;
    BatchRelation own;
    std::vector<const BatchRelation*> reads;
    std::vector<std::string> domains;  // that it or a view below it reads, as keys of domains_
    std::vector<size_t> key;           // empty: compared as a multiset
    bool read_by_others = false;
    bool evaluated = false;  // since the domains were last read
    std::string failure;     // why it could not be
    Evaluation evaluation;
    std::vector<VerifyDeadLetter> dead_letters;
    std::map<std::string, RowDifference> open;  // by identity(): not settled yet
    std::map<std::string, int> readings;        // of the source's row as it is
    std::map<FindingKind, uint64_t> more;       // differences that were too many to be kept
    std::vector<RowDifference> confirmed;
    bool concluded = false;  // its report says what there is to say

    // What differs can be read again by the domain's key; else the whole view has to be.
    bool by_domain_key() const { return prepared.by_row && !key.empty(); }
  };

  ClientReport failed(const Error& error);
  Status open();
  Status describe_domains(const std::vector<std::string>& names);
  Status first_reading();
  Result<bool> wait_for(uint64_t mark);
  Status reach(uint64_t mark);
  Status read_snapshot(const std::vector<std::string>& domains, const std::vector<VerifyKey>* keys, uint64_t& mark);
  Status all_read(const OpenView& view) const;
  Status prepare_views();
  Status prepare_open_view(OpenView& view, ViewReport& report);
  std::vector<size_t> key_of(const OpenView& view) const;
  Status evaluate_view(OpenView& view);
  Status fetch_dead_letters(OpenView& view);
  Result<SourceAnswer> source_answer(OpenView& view);
  Status compare_once(OpenView& view, const std::vector<VerifyKey>* keys, std::vector<RowDifference>& differences);
  Status read_analytics(const OpenView& view, const std::vector<VerifyKey>* keys);
  Status settle_by_key(OpenView& view);
  Status settle_whole();
  Status settle_round(const std::vector<OpenView*>& pending);
  static bool only_changing(const OpenView& view);
  void judge(OpenView& view, std::vector<RowDifference> again);
  void finish(OpenView& view);
  void conclude(OpenView& view, std::vector<RowDifference> differences);
  static std::string identity(const OpenView& view, const RowDifference& difference);
  static std::vector<VerifyKey> open_keys(const OpenView& view);

  const VerifyRequest& request_;
  const VerifyPorts& ports_;
  const VerifyClient& client_;
  std::function<bool(const std::string&)> skip_;
  ClientReport report_;
  std::unique_ptr<ScratchDatabase> database_;
  std::unique_ptr<SourceReader> reader_;
  std::map<std::string, DomainTable> domains_;        // by lower-case name
  std::map<std::string, BatchRelation> relations_;    // domains and views, by lower-case name
  std::map<std::string, std::set<std::string>> domains_of_;  // of each view, all that it depends on
  std::map<std::string, std::string> broken_;         // domains and views that cannot be computed, and why
  std::map<std::string, std::string> unread_;         // domains that the newest snapshot does not have, and why
  std::set<std::string> left_out_;                    // views of domains that the client does not have
  std::vector<OpenView> views_;
};

}  // namespace tributary
