// Time zone abbreviations known without regard to the session's zone (PostgreSQL's default set, Appendix B.4).
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace laminar {

struct Abbreviation {
    const char* name;  // lower case
    int32_t offset;    // seconds east of Greenwich, unless `zone` decides
    bool dst;
    const char* zone;  // the zone whose history says what the abbreviation means, or null
};

inline constexpr Abbreviation kAbbreviations[] = {
    {"acdt", 37800, true, nullptr}, {"acsst", 37800, true, nullptr}, {"acst", 34200, false, nullptr},
    {"act", -18000, false, nullptr}, {"acwst", 31500, false, nullptr}, {"adt", -10800, true, nullptr},
    {"aedt", 39600, true, nullptr}, {"aesst", 39600, true, nullptr}, {"aest", 36000, false, nullptr},
    {"aft", 16200, false, nullptr}, {"akdt", -28800, true, nullptr}, {"akst", -32400, false, nullptr},
    {"almst", 25200, true, nullptr}, {"almt", 21600, false, nullptr}, {"amst", 0, false, "Asia/Yerevan"},
    {"amt", -14400, false, nullptr}, {"anast", 0, false, "Asia/Anadyr"}, {"anat", 0, false, "Asia/Anadyr"},
    {"arst", 0, false, "America/Argentina/Buenos_Aires"},
    {"art", 0, false, "America/Argentina/Buenos_Aires"}, {"ast", -14400, false, nullptr},
    {"awsst", 32400, true, nullptr}, {"awst", 28800, false, nullptr}, {"azost", 0, true, nullptr},
    {"azot", -3600, false, nullptr}, {"azst", 0, false, "Asia/Baku"}, {"azt", 0, false, "Asia/Baku"},
    {"bdst", 7200, true, nullptr}, {"bdt", 21600, false, nullptr}, {"bnt", 28800, false, nullptr},
    {"bort", 28800, false, nullptr}, {"bot", -14400, false, nullptr}, {"bra", -10800, false, nullptr},
    {"brst", -7200, true, nullptr}, {"brt", -10800, false, nullptr}, {"bst", 3600, true, nullptr},
    {"btt", 21600, false, nullptr}, {"cadt", 37800, true, nullptr}, {"cast", 34200, false, nullptr},
    {"cct", 28800, false, nullptr}, {"cdt", -18000, true, nullptr}, {"cest", 7200, true, nullptr},
    {"cet", 3600, false, nullptr}, {"cetdst", 7200, true, nullptr}, {"chadt", 49500, true, nullptr},
    {"chast", 45900, false, nullptr}, {"chut", 36000, false, nullptr},
    {"ckt", 0, false, "Pacific/Rarotonga"}, {"clst", -10800, true, nullptr},
    {"clt", 0, false, "America/Santiago"}, {"cot", -18000, false, nullptr}, {"cst", -21600, false, nullptr},
    {"cxt", 25200, false, nullptr}, {"davt", 0, false, "Antarctica/Davis"}, {"ddut", 36000, false, nullptr},
    {"easst", 0, false, "Pacific/Easter"}, {"east", 0, false, "Pacific/Easter"},
    {"eat", 10800, false, nullptr}, {"edt", -14400, true, nullptr}, {"eest", 10800, true, nullptr},
    {"eet", 7200, false, nullptr}, {"eetdst", 10800, true, nullptr}, {"egst", 0, true, nullptr},
    {"egt", -3600, false, nullptr}, {"est", -18000, false, nullptr}, {"fet", 10800, false, nullptr},
    {"fjst", 46800, true, nullptr}, {"fjt", 43200, false, nullptr}, {"fkst", 0, false, "Atlantic/Stanley"},
    {"fkt", 0, false, "Atlantic/Stanley"}, {"fnst", -3600, true, nullptr}, {"fnt", -7200, false, nullptr},
    {"galt", -21600, false, nullptr}, {"gamt", -32400, false, nullptr}, {"gest", 0, false, "Asia/Tbilisi"},
    {"get", 0, false, "Asia/Tbilisi"}, {"gft", -10800, false, nullptr}, {"gilt", 43200, false, nullptr},
    {"gmt", 0, false, nullptr}, {"gyt", 0, false, "America/Guyana"}, {"hkt", 28800, false, nullptr},
    {"hst", -36000, false, nullptr}, {"ict", 25200, false, nullptr}, {"idt", 10800, true, nullptr},
    {"iot", 0, false, "Indian/Chagos"}, {"irkst", 0, false, "Asia/Irkutsk"},
    {"irkt", 0, false, "Asia/Irkutsk"}, {"irt", 12600, false, nullptr}, {"ist", 7200, false, nullptr},
    {"jayt", 32400, false, nullptr}, {"jst", 32400, false, nullptr}, {"kdt", 36000, true, nullptr},
    {"kgst", 21600, true, nullptr}, {"kgt", 0, false, "Asia/Bishkek"}, {"kost", 0, false, "Pacific/Kosrae"},
    {"krast", 0, false, "Asia/Krasnoyarsk"}, {"krat", 0, false, "Asia/Krasnoyarsk"},
    {"kst", 32400, false, nullptr}, {"lhdt", 0, false, "Australia/Lord_Howe"},
    {"lhst", 37800, false, nullptr}, {"ligt", 36000, false, nullptr},
    {"lint", 0, false, "Pacific/Kiritimati"}, {"lkt", 0, false, "Asia/Colombo"},
    {"magst", 0, false, "Asia/Magadan"}, {"magt", 0, false, "Asia/Magadan"},
    {"mart", -34200, false, nullptr}, {"mawt", 0, false, "Antarctica/Mawson"},
    {"mdt", -21600, true, nullptr}, {"mest", 7200, true, nullptr}, {"mesz", 7200, true, nullptr},
    {"met", 3600, false, nullptr}, {"metdst", 7200, true, nullptr}, {"mez", 3600, false, nullptr},
    {"mht", 43200, false, nullptr}, {"mmt", 23400, false, nullptr}, {"mpt", 36000, false, nullptr},
    {"msd", 14400, true, nullptr}, {"msk", 0, false, "Europe/Moscow"}, {"mst", -25200, false, nullptr},
    {"must", 18000, true, nullptr}, {"mut", 14400, false, nullptr}, {"mvt", 18000, false, nullptr},
    {"myt", 28800, false, nullptr}, {"ndt", -9000, true, nullptr}, {"nft", -12600, false, nullptr},
    {"novst", 0, false, "Asia/Novosibirsk"}, {"novt", 0, false, "Asia/Novosibirsk"},
    {"npt", 20700, false, nullptr}, {"nst", -12600, false, nullptr}, {"nut", 0, false, "Pacific/Niue"},
    {"nzdt", 46800, true, nullptr}, {"nzst", 43200, false, nullptr}, {"nzt", 43200, false, nullptr},
    {"omsst", 0, false, "Asia/Omsk"}, {"omst", 0, false, "Asia/Omsk"}, {"pdt", -25200, true, nullptr},
    {"pet", -18000, false, nullptr}, {"petst", 0, false, "Asia/Kamchatka"},
    {"pett", 0, false, "Asia/Kamchatka"}, {"pgt", 36000, false, nullptr}, {"pht", 28800, false, nullptr},
    {"pkst", 21600, true, nullptr}, {"pkt", 18000, false, nullptr}, {"pmdt", -7200, true, nullptr},
    {"pmst", -10800, false, nullptr}, {"pont", 39600, false, nullptr}, {"pst", -28800, false, nullptr},
    {"pwt", 32400, false, nullptr}, {"pyst", -10800, true, nullptr}, {"pyt", 0, false, "America/Asuncion"},
    {"ret", 14400, false, nullptr}, {"sadt", 37800, true, nullptr}, {"sast", 7200, false, nullptr},
    {"sct", 14400, false, nullptr}, {"sgt", 0, false, "Asia/Singapore"}, {"taht", -36000, false, nullptr},
    {"tft", 18000, false, nullptr}, {"tjt", 18000, false, nullptr}, {"tkt", 0, false, "Pacific/Fakaofo"},
    {"tmt", 0, false, "Asia/Ashgabat"}, {"tot", 46800, false, nullptr}, {"trut", 36000, false, nullptr},
    {"tvt", 43200, false, nullptr}, {"uct", 0, false, nullptr}, {"ulast", 32400, true, nullptr},
    {"ulat", 0, false, "Asia/Ulaanbaatar"}, {"ut", 0, false, nullptr}, {"utc", 0, false, nullptr},
    {"uyst", -7200, true, nullptr}, {"uyt", -10800, false, nullptr}, {"uzst", 21600, true, nullptr},
    {"uzt", 18000, false, nullptr}, {"vet", 0, false, "America/Caracas"},
    {"vlast", 0, false, "Asia/Vladivostok"}, {"vlat", 0, false, "Asia/Vladivostok"},
    {"volt", 0, false, "Europe/Volgograd"}, {"vut", 39600, false, nullptr}, {"wadt", 28800, true, nullptr},
    {"wakt", 43200, false, nullptr}, {"wast", 25200, false, nullptr}, {"wat", 3600, false, nullptr},
    {"wdt", 32400, true, nullptr}, {"wet", 0, false, nullptr}, {"wetdst", 3600, true, nullptr},
    {"wft", 43200, false, nullptr}, {"wgst", -7200, true, nullptr}, {"wgt", -10800, false, nullptr},
    {"xjt", 21600, false, nullptr}, {"yakst", 0, false, "Asia/Yakutsk"}, {"yakt", 0, false, "Asia/Yakutsk"},
    {"yapt", 36000, false, nullptr}, {"yekst", 21600, true, nullptr},
    {"yekt", 0, false, "Asia/Yekaterinburg"}, {"z", 0, false, nullptr}, {"zulu", 0, false, nullptr},
};

inline const Abbreviation* find_abbreviation(std::string_view lowercase) {
    auto end = std::end(kAbbreviations);
    auto it = std::lower_bound(std::begin(kAbbreviations), end, lowercase,
                               [](const Abbreviation& a, std::string_view s) { return a.name < s; });
    return it != end && it->name == lowercase ? it : nullptr;
}

}  // namespace laminar
