/* libFuzzer: a TZif file, and a rule as its footer has it. What is read answers for every moment,
 * and a local time that it finds is one of the offsets that hold around it. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/assert.h"
#include "services/router/tzif.h"
#include "services/router/tzrule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DAY = 86400 };

static void ask(const struct tzif *z, int64_t at)
{
        int32_t east = tzif_east_at(z, at), local = tzif_east_of_local(z, at + east);
        SLUICE_ASSERT(east > -DAY && east < DAY);
        SLUICE_ASSERT(local > -DAY && local < DAY);
}

static void use(const struct tzif *z)
{
        const int64_t far = INT64_C(9300000000000);
        for (int64_t t = -far; t <= far; t += far / 16)
                ask(z, t);
        for (uint32_t i = 0; i < z->n; i++) {
                SLUICE_ASSERT(i == 0 || z->at[i] > z->at[i - 1]);
                SLUICE_ASSERT(tzif_east_at(z, z->at[i]) == z->east[i]);
                ask(z, z->at[i]);
                ask(z, z->at[i] - 1);
        }
}

static void use_rule(const struct tzrule *r)
{
        struct tzrule_change c[2];
        for (int64_t year = -5000; r->changes && year < 300000; year += 1237) {
                uint32_t n = tzrule_year(r, year, c);
                SLUICE_ASSERT(n == 0 || (n == 2 && c[0].at < c[1].at));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct slice bytes = slice_of((const char *)data, size);
        struct tzif z;
        struct tzrule r;
        if (tzif_read(bytes, &z) == 0) {
                use(&z);
                tzif_fini(&z);
        }
        if (tzrule_read(bytes, &r) == 0)
                use_rule(&r);
        return 0;
}
