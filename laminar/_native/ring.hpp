// A single-producer single-consumer byte ring in memory shared by two processes.
//
// Indexes count bytes since the start and never wrap in practice (2^64); each side keeps a cached
// copy of the other's index, so that the shared cache line moves only when the cache is exhausted
// (Lamport's queue with the improvement of FastForward/B-Queue). Sleeping is announced by a flag
// that the other side looks at after a full fence (Dekker): no wake-up is lost, and none is sent
// to a side that is awake.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstring>
#include <unistd.h>

namespace laminar {

struct RingHeader {
    alignas(64) std::atomic<uint64_t> head;           // bytes written, stored by the producer
    alignas(64) std::atomic<uint64_t> tail;           // bytes consumed, stored by the consumer
    alignas(64) std::atomic<uint32_t> reader_sleeps;  // consumer waits for data
    alignas(64) std::atomic<uint32_t> writer_sleeps;  // producer waits for room
};
static_assert(std::atomic<uint64_t>::is_always_lock_free, "rings need lock-free 64-bit atomics");

constexpr uint64_t RING_DATA = 4096;  // data begins on the second page

struct RingSide {
    RingHeader* header = nullptr;
    uint8_t* data = nullptr;
    uint64_t mask = 0;
    uint64_t mine = 0;    // head for the producer, tail for the consumer
    uint64_t theirs = 0;  // the other's index as last seen
    int doorbell = -1;    // eventfd of the other side

    void attach(uint8_t* memory, uint64_t capacity, int bell) {
        header = reinterpret_cast<RingHeader*>(memory);
        data = memory + RING_DATA;
        mask = capacity - 1;
        doorbell = bell;
    }
    void knock(std::atomic<uint32_t>& flag) {
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (flag.load(std::memory_order_relaxed) && flag.exchange(0, std::memory_order_acq_rel)) {
            uint64_t one = 1;
            ssize_t ignored = ::write(doorbell, &one, sizeof one);
            (void)ignored;
        }
    }
};

struct RingWriterCore : RingSide {
    void start() { mine = header->head.load(std::memory_order_relaxed); theirs = header->tail.load(std::memory_order_acquire); }
    uint64_t room() {
        uint64_t space = mask + 1 - (mine - theirs);
        if (space < (mask + 1) / 4) {
            theirs = header->tail.load(std::memory_order_acquire);
            space = mask + 1 - (mine - theirs);
        }
        return space;
    }
    // Copies as much as fits, returns how much; not visible to the reader before publish().
    uint64_t put(const uint8_t* source, uint64_t size) {
        uint64_t space = room(), count = size < space ? size : space;
        uint64_t at = mine & mask, first = mask + 1 - at;
        if (first > count) first = count;
        std::memcpy(data + at, source, first);
        std::memcpy(data, source + first, count - first);
        mine += count;
        return count;
    }
    void publish() {
        if (header->head.load(std::memory_order_relaxed) == mine) return;
        header->head.store(mine, std::memory_order_release);
        knock(header->reader_sleeps);
    }
    // Announces sleep for want of room; false when room has appeared meanwhile.
    bool sleep() {
        header->writer_sleeps.store(1, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        theirs = header->tail.load(std::memory_order_acquire);
        if (mine - theirs <= mask / 2) { header->writer_sleeps.store(0, std::memory_order_relaxed); return false; }
        return true;
    }
};

struct RingReaderCore : RingSide {
    void start() { mine = header->tail.load(std::memory_order_relaxed); theirs = header->head.load(std::memory_order_acquire); }
    uint64_t available() {
        if (theirs == mine) theirs = header->head.load(std::memory_order_acquire);
        return theirs - mine;
    }
    uint64_t get(uint8_t* target, uint64_t size) {
        uint64_t have = available(), count = size < have ? size : have;
        uint64_t at = mine & mask, first = mask + 1 - at;
        if (first > count) first = count;
        std::memcpy(target, data + at, first);
        std::memcpy(target + first, data, count - first);
        mine += count;
        return count;
    }
    // Gives the room back. The writer is woken once half the ring is free, not for every byte.
    void release() {
        header->tail.store(mine, std::memory_order_release);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (header->writer_sleeps.load(std::memory_order_relaxed)
            && header->head.load(std::memory_order_relaxed) - mine <= mask / 2) knock(header->writer_sleeps);
    }
    bool sleep() {
        header->reader_sleeps.store(1, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        theirs = header->head.load(std::memory_order_acquire);
        if (theirs != mine) { header->reader_sleeps.store(0, std::memory_order_relaxed); return false; }
        return true;
    }
    void awake() { header->reader_sleeps.store(0, std::memory_order_relaxed); }
};

}  // namespace laminar
