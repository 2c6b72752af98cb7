// The parts of oneTBB that tbb.rs uses, as C functions.

#include <cstddef>

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/enumerable_thread_specific.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_pipeline.h>
#include <oneapi/tbb/task_arena.h>

namespace tbb = oneapi::tbb;

namespace {

struct Arenas {
    explicit Arenas(int threads)
        : limit(tbb::global_control::max_allowed_parallelism, threads),
          of_caller([threads] { return tbb::task_arena(threads); }) {}

    tbb::global_control limit;
    // An arena per calling thread. The default arena of a thread is limited to the number of
    // processors.
    tbb::enumerable_thread_specific<tbb::task_arena> of_caller;
};

}  // namespace

extern "C" {

void* compare_tbb_new(int threads) { return new Arenas(threads); }

void compare_tbb_delete(void* arenas) { delete static_cast<Arenas*>(arenas); }

void compare_tbb_for(void* arenas, std::size_t count, const void* context,
                     void (*run)(const void*, std::size_t, std::size_t)) {
    static_cast<Arenas*>(arenas)->of_caller.local().execute([=] {
        tbb::parallel_for(tbb::blocked_range<std::size_t>(0, count),
                          [=](const tbb::blocked_range<std::size_t>& range) {
                              run(context, range.begin(), range.end());
                          });
    });
}

void compare_tbb_pipeline(void* arenas, std::size_t tokens, const void* context,
                          void* (*pull)(const void*), void (*run)(const void*, void*),
                          void (*take)(const void*, void*)) {
    static_cast<Arenas*>(arenas)->of_caller.local().execute([=] {
        const auto source = tbb::make_filter<void, void*>(
            tbb::filter_mode::serial_in_order, [=](tbb::flow_control& control) -> void* {
                void* token = pull(context);
                if (token == nullptr) control.stop();
                return token;
            });
        const auto work =
            tbb::make_filter<void*, void*>(tbb::filter_mode::parallel, [=](void* token) {
                run(context, token);
                return token;
            });
        const auto sink = tbb::make_filter<void*, void>(
            tbb::filter_mode::serial_in_order, [=](void* token) { take(context, token); });
        tbb::parallel_pipeline(tokens, source & work & sink);
    });
}

}  // extern "C"
