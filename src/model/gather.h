// Some rows of a batch as a batch of their own, copied column by column.
#pragma once

#include <span>

#include "model/event_batch.h"

namespace tributary {

// The cells of `rows`, in that order.
Column gather(const Column& column, std::span<const uint32_t> rows);

// The rows `rows` (ascending) with their before images and moved keys, without range facts.
EventBatch gather(const EventBatch& batch, std::span<const uint32_t> rows);

// The rows [begin, end) likewise.
EventBatch slice(const EventBatch& batch, uint32_t begin, uint32_t end);

}  // namespace tributary
