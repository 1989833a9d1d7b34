// The Nexmark benchmark's event generator, every event a function of (seed, its number).
//
// Distributions follow the generator of Apache Beam and nexmark-flink (NexmarkUtils, PersonGenerator,
// AuctionGenerator, BidGenerator); the random numbers are our own, so that any range of events can be
// made without those before it.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace nexmark {

constexpr int64_t kPersons = 1, kAuctions = 3, kBids = 46, kTotal = kPersons + kAuctions + kBids;
constexpr int64_t kFirstPerson = 1000, kFirstAuction = 1000, kFirstCategory = 10, kCategories = 5;
constexpr int64_t kHotAuctionRatio = 2, kHotSellersRatio = 4, kHotBiddersRatio = 4, kHotGroup = 100;
constexpr int64_t kInFlightAuctions = 100, kActivePeople = 1000, kIdLead = 10;
constexpr int64_t kHotChannelsRatio = 2, kChannels = 10000;

enum Kind { kPerson = 0, kAuction = 1, kBid = 2 };

// What every column of a run has in common.
struct Config {
    uint64_t seed;
    int64_t base_us;       // event time of event 0
    double us_per_event;   // the event-time rate's inverse
};

// SplitMix64 (Steele, Lea, Flood 2014), seeded by the event's number and the field.
class Random {
  public:
    Random(const Config& c, int64_t event, uint64_t field)
        : state_(mix(c.seed ^ mix(static_cast<uint64_t>(event) + (field << 56)))) {}
    uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15ULL); }
    // In [0, bound), by multiplication (Lemire 2019, without the rejection).
    int64_t below(int64_t bound) {
        return static_cast<int64_t>((static_cast<unsigned __int128>(next()) * static_cast<uint64_t>(bound)) >> 64);
    }
    double real() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  private:
    static uint64_t mix(uint64_t x) {
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
        return x ^ (x >> 31);
    }
    uint64_t state_;
};

inline Kind kind_of(int64_t event) {
    int64_t at = event % kTotal;
    return at < kPersons ? kPerson : at < kPersons + kAuctions ? kAuction : kBid;
}

// Event number of the index-th event of a kind.
inline int64_t event_of(Kind kind, int64_t index) {
    switch (kind) {
        case kPerson: return index / kPersons * kTotal + index % kPersons;
        case kAuction: return index / kAuctions * kTotal + kPersons + index % kAuctions;
        default: return index / kBids * kTotal + kPersons + kAuctions + index % kBids;
    }
}

inline int64_t time_of(const Config& c, int64_t event) {
    // whole milliseconds, as the reference generator has them
    int64_t ms = static_cast<int64_t>(static_cast<double>(event) * c.us_per_event / 1000.0);
    return c.base_us + ms * 1000;
}

inline int64_t last_person(int64_t event) {
    int64_t at = event % kTotal;
    return event / kTotal * kPersons + (at < kPersons ? at : kPersons - 1);
}

inline int64_t last_auction(int64_t event) {
    int64_t group = event / kTotal, at = event % kTotal;
    if (at < kPersons) {
        --group;
        at = kAuctions - 1;
    } else {
        at = at < kPersons + kAuctions ? at - kPersons : kAuctions - 1;
    }
    return group * kAuctions + at;
}

inline int64_t some_person(const Config& c, int64_t event, Random& r) {
    int64_t people = last_person(event) + 1;
    int64_t active = people < kActivePeople ? people : kActivePeople;
    return people - active + r.below(active + kIdLead);
}

inline int64_t some_auction(int64_t event, Random& r) {
    int64_t last = last_auction(event);
    int64_t first = last - kInFlightAuctions > 0 ? last - kInFlightAuctions : 0;
    return first + r.below(last - first + 1 + kIdLead);
}

inline int64_t price(Random& r) { return std::llround(std::pow(10.0, r.real() * 6.0) * 100.0); }

enum Number {
    kId, kTime,                                               // any kind
    kInitialBid, kReserve, kExpires, kSeller, kCategory,      // auction
    kBidAuction, kBidder, kPrice,                             // bid
};

inline int64_t number(const Config& c, int64_t event, Number what) {
    Random r(c, event, static_cast<uint64_t>(what == kReserve ? kInitialBid : what));
    switch (what) {
        case kId:
            return kind_of(event) == kPerson ? last_person(event) + kFirstPerson : last_auction(event) + kFirstAuction;
        case kTime: return time_of(c, event);
        case kInitialBid: return price(r);
        case kReserve: {
            int64_t initial = price(r);
            return initial + price(r);
        }
        case kExpires: {
            // long enough for the wanted number of auctions to be in flight
            int64_t horizon = time_of(c, event + kInFlightAuctions * kTotal / kAuctions) - time_of(c, event);
            int64_t ms = horizon / 1000 * 2;
            return time_of(c, event) + (1 + r.below(ms > 1 ? ms : 1)) * 1000;
        }
        case kSeller:
            if (r.below(kHotSellersRatio) > 0) return last_person(event) / kHotGroup * kHotGroup + kFirstPerson;
            return some_person(c, event, r) + kFirstPerson;
        case kCategory: return kFirstCategory + r.below(kCategories);
        case kBidAuction:
            if (r.below(kHotAuctionRatio) > 0) return last_auction(event) / kHotGroup * kHotGroup + kFirstAuction;
            return some_auction(event, r) + kFirstAuction;
        case kBidder:
            if (r.below(kHotBiddersRatio) > 0) return last_person(event) / kHotGroup * kHotGroup + 1 + kFirstPerson;
            return some_person(c, event, r) + kFirstPerson;
        default: return price(r);
    }
}

// --- text -------------------------------------------------------------------------

enum Text {
    kName = 16, kEmail, kCard, kCity, kState, kPersonExtra,
    kItem, kDescription, kAuctionExtra,
    kChannel, kUrl, kBidExtra,
};

// Longest text of any field, with room to spare.
constexpr int64_t kMaxText = 1024;

// Appends to a buffer that has kMaxText bytes free.
class Writer {
  public:
    explicit Writer(char* out) : out_(out), size_(0) {}
    void put(char c) { out_[size_++] = c; }
    void put(const char* s) {
        for (; *s; ++s) put(*s);
    }
    void digits(uint64_t v) {
        char b[20];
        int n = 0;
        do b[n++] = static_cast<char>('0' + v % 10);
        while (v /= 10);
        while (n) put(b[--n]);
    }
    int64_t size() const { return size_; }

  private:
    char* out_;
    int64_t size_;
};

// 3 to max - 1 letters, one in 13 of them ``special``.
inline void word(Writer& w, Random& r, int64_t max, char special) {
    for (int64_t n = 3 + r.below(max - 3); n > 0; --n) {
        if (r.below(13) == 0) w.put(special);
        else w.put(static_cast<char>('a' + r.below(26)));
    }
}

// Filler that brings an event of ``now`` bytes to ``wanted`` on average, give or take a fifth.
inline void filler(Writer& w, Random& r, int64_t now, int64_t wanted) {
    if (now > wanted) return;
    wanted -= now;
    int64_t delta = (wanted + 2) / 5;
    int64_t n = wanted - delta + (delta ? r.below(2 * delta) : 0);
    while (n > 0) {
        uint64_t bits = r.next();
        for (int i = 0; i < 12 && n > 0; ++i, --n, bits >>= 5) w.put("abcdefghijklmnopqrstuvwxyzabcdef"[bits & 31]);
    }
}

inline void text(const Config& c, int64_t event, Text what, Writer& w);

inline int64_t length(const Config& c, int64_t event, Text what) {
    char scratch[kMaxText];
    Writer w(scratch);
    text(c, event, what, w);
    return w.size();
}

inline void bid_url(const Config& c, Random& r, Writer& w) {
    bool is_hot = r.below(kHotChannelsRatio) > 0;
    int64_t channel = is_hot ? r.below(4) : r.below(kChannels);
    // a channel's address is the same for all its bids
    Random of_channel(c, is_hot ? -1 - channel : channel, kUrl + 32);
    w.put("https://www.nexmark.com/");
    for (int i = 0; i < 3; ++i) {
        word(w, of_channel, 5, '_');
        w.put('/');
    }
    w.put("item.htm?query=1");
    if (!is_hot && of_channel.below(10) > 0) {
        uint32_t x = static_cast<uint32_t>(channel), reversed = 0;
        for (int i = 0; i < 32; ++i, x >>= 1) reversed = reversed << 1 | (x & 1);
        int64_t id = static_cast<int32_t>(reversed);
        w.put("&channel_id=");
        w.digits(static_cast<uint64_t>(id < 0 ? -id : id));
    }
}

inline void bid_channel(Random& r, Writer& w) {
    static const char* const hot[4] = {"Google", "Facebook", "Baidu", "Apple"};
    if (r.below(kHotChannelsRatio) > 0) {
        w.put(hot[r.below(4)]);
    } else {
        w.put("channel-");
        w.digits(static_cast<uint64_t>(r.below(kChannels)));
    }
}

inline void text(const Config& c, int64_t event, Text what, Writer& w) {
    static const char* const first[11] = {"Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"};
    static const char* const last[9] = {"Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"};
    static const char* const city[10] = {"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"};
    static const char* const state[6] = {"AZ", "CA", "ID", "OR", "WA", "WY"};
    // channel and URL are drawn together
    Random r(c, event, static_cast<uint64_t>(what == kUrl ? kChannel : what));
    switch (what) {
        case kName:
            w.put(first[r.below(11)]);
            w.put(' ');
            w.put(last[r.below(9)]);
            break;
        case kEmail:
            word(w, r, 7, ' ');
            w.put('@');
            word(w, r, 5, ' ');
            w.put(".com");
            break;
        case kCard:
            for (int i = 0; i < 4; ++i) {
                if (i) w.put(' ');
                int64_t n = r.below(10000);
                for (int64_t d = 1000; d; d /= 10) w.put(static_cast<char>('0' + n / d % 10));
            }
            break;
        case kCity: w.put(city[r.below(10)]); break;
        case kState: w.put(state[r.below(6)]); break;
        case kPersonExtra: {
            int64_t now = 8;
            for (Text t : {kName, kEmail, kCard, kCity, kState}) now += length(c, event, t);
            filler(w, r, now, 200);
            break;
        }
        case kItem: word(w, r, 20, ' '); break;
        case kDescription: word(w, r, 100, ' '); break;
        case kAuctionExtra:
            filler(w, r, 48 + length(c, event, kItem) + length(c, event, kDescription), 500);
            break;
        case kChannel: bid_channel(r, w); break;
        case kUrl: bid_url(c, r, w); break;
        case kBidExtra: filler(w, r, 32, 100); break;
    }
}

// --- columns ----------------------------------------------------------------------

// Row i is event events[i]; rows whose kind is not ``only`` get no value (only < 0: all do).
inline void numbers(const Config& c, const int64_t* events, int64_t n, int only, int what, int64_t* out) {
    for (int64_t i = 0; i < n; ++i)
        out[i] = only < 0 || kind_of(events[i]) == only ? number(c, events[i], static_cast<Number>(what)) : 0;
}

// Writes from row ``from`` on as long as kMaxText bytes are free; returns the first row not written.
inline int64_t texts(const Config& c, const int64_t* events, int64_t n, int only, int what, int64_t from,
                     int32_t* ends, char* out, int64_t capacity) {
    int64_t used = ends[from];
    for (; from < n && capacity - used >= kMaxText; ++from) {
        if (only < 0 || kind_of(events[from]) == only) {
            Writer w(out + used);
            text(c, events[from], static_cast<Text>(what), w);
            used += w.size();
        }
        ends[from + 1] = static_cast<int32_t>(used);
    }
    return from;
}

}  // namespace nexmark
