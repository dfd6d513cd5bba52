// Dead letters of a pipeline, as `tributary dead-letters` shows them, whether it runs or not.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "app/dead_letter_rows.h"
#include "config/pipeline.h"
#include "contracts/event_log.h"
#include "contracts/raw_store.h"
#include "storage/storage.h"

namespace tributary {

struct DeadLetterFilter {
  std::string client;  // empty: all
  std::string view;    // empty: all
  std::string id;      // hexadecimal key bytes; empty: all
  std::string reason;  // letters whose reason has this text in it, in whichever case; empty: all
  bool events = false; // with the events of the row that failed
  std::optional<DeadLetterRow> row = {};  // of a domain: letters in which it has a part. Not in JSON

  bool has_reason(const std::string& of_letter) const;

  std::string to_json() const;
  static DeadLetterFilter from_json(const nlohmann::json& json);
};

// [{"client":"acme","view":"sales","id":"…","key":"orders id=42","position":"…","reason":"…","events":[…]}]; a group and what is
// computed of several rows have no position. Where a breaker has tripped {"client":…,"view":…,"not_kept":17}. A connector's
// message that could not be read has no view, and its place as id.
Result<nlohmann::json> list_dead_letters(const Pipeline& pipeline, const Storage& storage, EventLog& log, RawStore& raw,
                                         const DeadLetterFilter& filter);

}  // namespace tributary
