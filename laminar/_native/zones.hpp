// The process's time zones: TZif files read on first use and kept for good, so that pointers stay valid.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "timezone.hpp"

namespace laminar {

class ZoneRegistry {
  public:
    static ZoneRegistry& instance() {
        static ZoneRegistry registry;
        return registry;
    }

    // Folders that hold TZif files, tried in order.
    void set_folders(const std::vector<std::string>& folders) {
        std::lock_guard<std::mutex> lock(mutex_);
        folders_ = folders;
    }

    // By IANA name in any case, or a POSIX rule such as CET-1CEST. Null when there is no such zone.
    const Zone* find(std::string_view name) {
        std::string key;
        for (char c : name) key.push_back(lower(c));
        std::lock_guard<std::mutex> lock(mutex_);
        auto it = zones_.find(key);
        if (it != zones_.end()) return it->second.get();
        auto zone = std::make_unique<Zone>();
        if (key == "utc" || key == "etc/utc") {
            *zone = Zone::fixed(key == "utc" ? "UTC" : "Etc/UTC", 0, "UTC");
        } else if (!load(key, *zone) && !Zone::posix(std::string(name), name, *zone)) {
            return nullptr;
        }
        return zones_.emplace(std::move(key), std::move(zone)).first->second.get();
    }

    // A zone with a constant offset, seconds east, as SET TIME ZONE -3.5 makes.
    const Zone* fixed(int32_t offset) {
        std::string digits;
        int32_t o = std::abs(offset);
        auto two = [&](int v) { digits.push_back(char('0' + v / 10)), digits.push_back(char('0' + v % 10)); };
        two(o / 3600);
        if (o % 3600) digits.push_back(':'), two(o / 60 % 60);
        if (o % 60) digits.push_back(':'), two(o % 60);
        std::string abbreviation = (offset < 0 ? "-" : "+") + digits;
        std::string name = "<" + abbreviation + ">" + (offset < 0 ? "+" : "-") + digits;
        std::lock_guard<std::mutex> lock(mutex_);
        auto& slot = zones_[name];
        if (!slot) slot = std::make_unique<Zone>(Zone::fixed(name, offset, abbreviation));
        return slot.get();
    }

  private:
    std::mutex mutex_;
    std::vector<std::string> folders_;
    std::map<std::string, std::unique_ptr<Zone>> zones_;

    // Walks the folders one name at a time, ignoring case; names with dots are not zones (and cannot escape).
    bool load(const std::string& key, Zone& out) const {
        namespace fs = std::filesystem;
        if (key.empty() || key.front() == '/' || key.find('.') != std::string::npos) return false;
        for (const auto& folder : folders_) {
            fs::path path(folder);
            std::string found_name;
            bool found = true;
            for (size_t at = 0; at <= key.size() && found;) {
                size_t slash = std::min(key.find('/', at), key.size());
                std::string part = key.substr(at, slash - at);
                found = false;
                std::error_code error;
                for (const auto& entry : fs::directory_iterator(path, error)) {
                    std::string file = entry.path().filename().string();
                    if (!equals_ci(file, part)) continue;
                    found_name += (at ? "/" : "") + file;
                    path /= file, found = true;
                    break;
                }
                at = slash + 1;
            }
            std::error_code error;
            if (!found || !fs::is_regular_file(path, error)) continue;
            std::ifstream in(path, std::ios::binary);
            std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
            if (bytes.compare(0, 4, "TZif") != 0) continue;
            out = Zone::tzif(found_name, bytes);
            return true;
        }
        return false;
    }
};

}  // namespace laminar
