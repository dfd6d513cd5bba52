// A whole row out of its history: the newest fact about a row key, with the values that it leaves out taken from older facts,
// of the keys too that the row had before. For rows that wait for a value (parked) where no source can be asked again.
//
// Right only once every fact is at hand that is older than the newest: whoever asks sees to that.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model/event_batch.h"

namespace tributary {

// The facts about a row key, in any order, repeated or not; rows of other keys are passed over.
using FactsOfKey = std::function<Result<std::vector<EventBatch>>(const std::string& key)>;

// The ordinal of a completed row stands behind its newest fact's own and before every later fact.
constexpr uint32_t ordinal_completed = 1U << 30;

// One snapshot row at the newest fact's position. nullopt: there is no such row, nothing is missing of it, or no fact tells
// what is.
Result<std::optional<EventBatch>> complete_row(const std::string& key, const FactsOfKey& facts);

}  // namespace tributary
