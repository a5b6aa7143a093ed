/* Random tests of time zones with names, near their changes. */
#ifndef SERVICES_ROUTER_WHERE_ORACLE_ZONE_H
#define SERVICES_ROUTER_WHERE_ORACLE_ZONE_H

#include "services/router/where_oracle_gen.h"

/* Days on which it changes, and what is between its offsets before and after. */
struct gen_zone {
        const char *name, *between, *days[2];
};

static inline const struct gen_zone *gen_zone(struct gen *g)
{
        static const struct gen_zone zones[] = {
                {"Europe/Berlin", "01:30:00", {"2024-03-31", "2024-10-27"}},
                {"America/New_York", "-04:30:00", {"2024-03-10", "2024-11-03"}},
                {"Australia/Lord_Howe", "10:45:00", {"2024-10-06", "2024-04-07"}},
                {"Africa/Casablanca", "00:30:00", {"2024-03-10", "2024-04-14"}},
                {"Asia/Kathmandu", "05:35:00", {"1986-01-01", "1986-01-01"}},
                {"America/Sao_Paulo", "-02:30:00", {"2018-11-04", "2019-02-16"}},
                {"Antarctica/Troll", "01:00:00", {"2024-03-31", "2024-10-27"}},
                {"Pacific/Apia", "00:00:00", {"2011-12-30", "2011-12-31"}},
                {"Europe/Dublin", "00:30:00", {"2437-03-29", "2024-10-27"}},
                {"Atlantic/Azores", "-00:30:00", {"2024-03-31", "2100-10-31"}},
                {"America/St_Johns", "-03:00:00", {"2024-03-10", "2024-11-03"}},
                {"Africa/Monrovia", "-00:20:00", {"1972-01-07", "0044-03-15"}},
                {"Asia/Tehran", "04:00:00", {"2022-03-22", "2022-09-21"}},
                {"Etc/GMT-14", "13:00:00", {"2024-03-31", "9999-10-31"}},
                {"Singapore", "07:15:00", {"1982-01-01", "1933-01-01"}},
                {"UTC", "00:00:00", {"2024-03-31", "1600-01-01"}}};
        return &zones[gen_below(g, sizeof(zones) / sizeof(zones[0]))];
}

/* A time that zones are good for. */
static inline void gen_zone_operand(struct gen *g, const struct gen_zone *z, struct buf *out)
{
        static const char *const columns[] = {"ts", "tz", "ts2"};
        if (gen_chance(g, 50)) {
                buf_puts(out, columns[gen_below(g, 3)]);
                return;
        }
        gen_clock(g, z->days[gen_below(g, 2)], out);
        buf_puts(out, gen_chance(g, 60) ? "::timestamp" : "::timestamptz");
}

/* Of a moment, or a local time: its offset, which is less or more. */
static inline void gen_zone_test(struct gen *g, struct buf *out)
{
        const struct gen_zone *z = gen_zone(g);
        struct buf moment;
        buf_init(&moment, 256);
        gen_zone_operand(g, z, &moment);
        buf_printf(out, "(%s AT TIME ZONE '%s') - (%s AT TIME ZONE 'UTC') %s INTERVAL '%s'",
                   buf_cstr(&moment), z->name, buf_cstr(&moment),
                   gen_chance(g, 50) ? "<" : ">=", z->between);
        if (gen_chance(g, 50)) /* what is east of Greenwich is earlier in UTC */
                buf_puts(out, " * -1");
        buf_fini(&moment);
}

#endif
