// What of a batch a release is fed with.
#pragma once

#include <deque>

#include "model/event_batch.h"
#include "runtime/releases.h"

namespace tributary {

// The events within the scope: `batch` itself, a part of it that is put into `parts`, or nullptr where there are none.
const EventBatch* within(const EventBatch& batch, const FeedScope& scope, std::deque<EventBatch>& parts);

}  // namespace tributary
