// Memory for operator state: blocks carved from segments of memory, then of a file mapped into it.
//
// State is plain memory on huge pages as long as the process's budget lasts (a random read through
// 4 KB pages costs half as much again), and beyond that a mapped file, whose cold parts leave memory
// through the page cache. The file is scratch: it has no name once opened and is rebuilt from
// checkpoints at every start. Its room is allocated before it is used (posix_fallocate), so a full
// disk is an Error 53100 here and never a SIGBUS later. Segments never move, so pointers into
// them stay valid as long as the arena.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "pgerror.hpp"

namespace laminar::engine {

// Bytes of plain memory that arenas with a directory may still take; a quarter of the machine's at first.
inline std::atomic<int64_t>& memory_budget() {
    static std::atomic<int64_t> left{int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE) / 4};
    return left;
}

// Sets it unless negative; returns what was left before.
inline int64_t set_memory_budget(int64_t left) { return left < 0 ? memory_budget().load() : memory_budget().exchange(left); }

class Arena {
  public:
    static constexpr size_t kPage = 4096;
    static constexpr int kClasses = 20;  // blocks of 4 KB << class, up to 2 GB

    // dir: where the scratch file goes; empty for anonymous memory.
    explicit Arena(const std::string& dir) {
        if (dir.empty()) return;
        std::string path = dir + "/state-XXXXXX";
        fd_ = mkostemp(path.data(), O_CLOEXEC);
        if (fd_ < 0) io_error("could not create state file in \"" + dir + "\"");
        unlink(path.c_str());
    }
    Arena(const Arena&) = delete;
    ~Arena() {
        for (auto [p, n] : segments_) munmap(p, n);
        memory_budget() += int64_t(plain_);
        if (fd_ >= 0) close(fd_);
    }

    static int class_of(size_t bytes) {
        int k = 0;
        while ((kPage << k) < bytes) ++k;
        if (k >= kClasses) fail("54000", "state entry is too large");
        return k;
    }

    void* alloc(int k) {
        used_ += kPage << k;
        if (!free_[k].empty()) return pop(k);
        for (int bigger = k + 1; bigger < kClasses && bigger < k + 6; ++bigger) {
            if (free_[bigger].empty()) continue;
            auto* p = static_cast<uint8_t*>(pop(bigger));  // halve it until it fits
            while (bigger-- > k) free_[bigger].push_back(p + (kPage << bigger));
            return p;
        }
        const size_t want = kPage << k;
        if (size_t(end_ - at_) < want) grow(want);
        uint8_t* p = at_;
        at_ += want;
        return p;
    }
    void release(void* p, int k) {
        used_ -= kPage << k;
        free_[k].push_back(static_cast<uint8_t*>(p));
    }

    // Ask for a page that will be read or written soon: of a block of keys all are on their way from the
    // disk at once, instead of one after the other. Costs a system call, so only where pages have lately
    // been waited for.
    void prefetch(const void* p) {
        __builtin_prefetch(p);
        if (!in_file_ || !waits()) return;
        const auto page = reinterpret_cast<uintptr_t>(p) / kPage * kPage;
        madvise(reinterpret_cast<void*>(page), kPage, MADV_WILLNEED);
    }

    size_t allocated() const { return allocated_; }  // bytes of file or memory taken
    size_t used() const { return used_; }            // bytes in blocks handed out

  private:
    // Whether this thread has waited for the disk in the last few thousand calls.
    bool waits() {
        if ((++calls_ & 63) == 0) {
            struct rusage now;
            if (getrusage(RUSAGE_THREAD, &now) == 0 && now.ru_majflt != faults_) faults_ = now.ru_majflt, calls_ = kWary;
        }
        return calls_ >= kWary && calls_ < 2 * kWary;
    }
    void* pop(int k) {
        uint8_t* p = free_[k].back();
        free_[k].pop_back();
        return p;
    }
    [[noreturn]] void io_error(const std::string& what, int code = errno) {
        const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
        throw Error(full ? "53100" : "58030", what + ": " + std::strerror(code), {},
                    full ? "Free space on the disk that holds the data directory's scratch files." : "");
    }
    void grow(size_t want) {
        while (size_t(end_ - at_) >= kPage) {  // what is left of the segment stays usable
            int k = 0;
            while (k + 1 < kClasses && (kPage << (k + 1)) <= size_t(end_ - at_)) ++k;
            free_[k].push_back(at_);
            at_ += kPage << k;
        }
        size_t size = allocated_ / 2 / (2u << 20) * (2u << 20);
        if (size < 256 * kPage) size = 256 * kPage;
        if (size > 64u << 20) size = 64u << 20;
        if (size < want) size = want;
        void* p = fd_ < 0 || take_budget(size) ? map_memory(size) : map_file(size);
        if (p == MAP_FAILED) throw Error("53200", "out of memory", "Could not map " + std::to_string(size) + " bytes of state.");
        segments_.emplace_back(p, size);
        allocated_ += size;
        at_ = static_cast<uint8_t*>(p);
        end_ = at_ + size;
    }
    bool take_budget(size_t size) {
        if ((memory_budget() -= int64_t(size)) >= 0) {
            plain_ += size;
            return true;
        }
        memory_budget() += int64_t(size);
        return false;
    }
    static void* map_memory(size_t size) {
        constexpr size_t kHuge = 2 << 20;
        if (size < kHuge) return mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        // aligned, so that all of it can be huge pages
        void* p = mmap(nullptr, size + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) return p;
        const auto start = reinterpret_cast<uintptr_t>(p);
        const uintptr_t aligned = (start + kHuge - 1) / kHuge * kHuge;
        if (aligned > start) munmap(p, aligned - start);
        if (start + kHuge > aligned) munmap(reinterpret_cast<void*>(aligned + size), start + kHuge - aligned);
        madvise(reinterpret_cast<void*>(aligned), size, MADV_HUGEPAGE);
        return reinterpret_cast<void*>(aligned);
    }
    void* map_file(size_t size) {
        int code;
        do code = posix_fallocate(fd_, off_t(in_file_), off_t(size));
        while (code == EINTR);
        if (code) io_error("could not extend state file", code);
        void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, off_t(in_file_));
        if (p == MAP_FAILED) return p;
        madvise(p, size, MADV_RANDOM);  // keys are scattered: reading ahead would throw out what is used
        in_file_ += size;
        return p;
    }

    int fd_ = -1;
    uint8_t *at_ = nullptr, *end_ = nullptr;
    static constexpr uint32_t kWary = 1 << 14;
    uint32_t calls_ = 2 * kWary;
    long faults_ = 0;
    size_t allocated_ = 0, used_ = 0, plain_ = 0, in_file_ = 0;
    std::vector<std::pair<void*, size_t>> segments_;
    std::vector<uint8_t*> free_[kClasses];
};

// Small pieces out of an arena's blocks, by size class, reused through free lists; all of a
// pool's blocks go back at once when it is cleared.
class Pool {
  public:
    explicit Pool(Arena* arena) : arena_(arena) {}
    Pool(const Pool&) = delete;
    ~Pool() { clear(); }

    static uint16_t class_of(size_t bytes) {  // 16-byte steps to 512, then eighths of powers of two
        if (bytes <= 512) return uint16_t((bytes + 15) / 16);
        if (bytes > kLargest) return uint16_t(kLarge + Arena::class_of(bytes));
        int log = 63 - __builtin_clzll(bytes - 1);
        const size_t step = size_t(1) << (log - 3);
        return uint16_t(33 + (log - 9) * 8 + int((bytes - (size_t(1) << log) + step - 1) / step) - 1);
    }
    static size_t size_of(uint16_t cls) {
        if (cls >= kLarge) return Arena::kPage << (cls - kLarge);
        if (cls < 33) return size_t(cls) * 16;
        const int log = 9 + (cls - 33) / 8;
        return (size_t(1) << log) + (size_t((cls - 33) % 8) + 1) * (size_t(1) << (log - 3));
    }

    void* alloc(uint16_t cls) {
        const size_t size = size_of(cls);
        bytes_ += size;
        if (cls >= kLarge) return arena_->alloc(cls - kLarge);
        if (void* p = free_[cls]) {
            std::memcpy(&free_[cls], p, sizeof(void*));
            return p;
        }
        if (size_t(end_ - at_) < size) {
            const int k = blocks_.size() < 2 ? (size > Arena::kPage ? Arena::class_of(size) : 0)
                        : blocks_.size() < 8 ? 4 : 7;  // 4 KB, 64 KB, 512 KB
            auto* p = static_cast<uint8_t*>(arena_->alloc(k));
            blocks_.emplace_back(p, k);
            at_ = p, end_ = p + (Arena::kPage << k);
        }
        void* p = at_;
        at_ += size;
        return p;
    }
    void release(void* p, uint16_t cls) {
        bytes_ -= size_of(cls);
        if (cls >= kLarge) return arena_->release(p, cls - kLarge);
        std::memcpy(p, &free_[cls], sizeof(void*));
        free_[cls] = p;
    }
    // Gives all blocks back; large pieces must have been released one by one.
    void clear() {
        for (auto [p, k] : blocks_) arena_->release(p, k);
        blocks_.clear();
        std::memset(free_, 0, sizeof free_);
        at_ = end_ = nullptr;
        bytes_ = 0;
    }
    size_t bytes() const { return bytes_; }  // in live pieces

    static constexpr size_t kLargest = 32768;
    static constexpr uint16_t kLarge = 200;

  private:
    Arena* arena_;
    uint8_t *at_ = nullptr, *end_ = nullptr;
    size_t bytes_ = 0;
    void* free_[kLarge] = {};
    std::vector<std::pair<uint8_t*, int>> blocks_;
};

}  // namespace laminar::engine
