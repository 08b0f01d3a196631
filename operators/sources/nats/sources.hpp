/// The three kinds of source that operators/sources/nats.cpp chooses from.
#pragma once

#include <memory>

#include <weir/context.hpp>
#include <weir/settings.hpp>
#include <weir/source.hpp>

namespace weir::nats {

/// A partition's stream, in order and without acknowledgements; each open() makes a consumer of its own.
std::unique_ptr<Source> partition_source(const Settings& settings, Context& context);

/// A durable that several workers share: any message to any of them, until it is acknowledged.
std::unique_ptr<Source> shared_source(const Settings& settings, Context& context);

/// Core NATS: what comes while we listen. Arrival is when it is pulled: the library does not say when it came.
std::unique_ptr<Source> core_source(const Settings& settings, Context& context);

}  // namespace weir::nats
