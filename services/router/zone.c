#include "services/router/zone.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/assert.h"
#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/base/hmap.h"
#include "common/base/mem.h"
#include "services/router/where_time.h"

static struct {
        pthread_mutex_t lock;
        struct hmap by_name; /* struct zone, never freed */
} known = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- files */

static bool is_name_char(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '+' || c == '-' || c == '/';
}

/* Names come from clients: no way out of the directory, and nothing that a directory may hold
 * besides zones. */
static bool is_name(struct slice name)
{
        if (name.len == 0 || name.len > ZONE_MAX_NAME || name.p[0] == '/')
                return false;
        for (size_t i = 0; i < name.len; i++)
                if (!is_name_char(name.p[i]) || (name.p[i] == '/' && name.p[i - 1] == '/'))
                        return false;
        return true;
}

static int open_file(struct slice name)
{
        const char *dir = getenv("TZDIR");
        char path[4096];
        int n = snprintf(path, sizeof(path), "%s/%.*s", dir && *dir ? dir : "/usr/share/zoneinfo",
                         SLICE_FMT(name));
        return n < (int)sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
                                     : -1;
}

/* As many bytes as a zone may have and one more; -1: not a file. */
static ssize_t read_file(int fd, char *out)
{
        struct stat st;
        size_t n = 0;
        if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
                return -1;
        while (n <= TZIF_MAX_BYTES) {
                ssize_t got = read(fd, out + n, TZIF_MAX_BYTES + 1 - n);
                if (got < 0)
                        return -1;
                if (got == 0)
                        break;
                n += (size_t)got;
        }
        return (ssize_t)n;
}

static int load_rules(struct slice name, struct tzif *out)
{
        int fd = open_file(name);
        if (fd < 0)
                return ERR_NOTFOUND;
        char *bytes = mem_array(TZIF_MAX_BYTES + 1, 1);
        ssize_t n = read_file(fd, bytes);
        close(fd);
        int err = n < 0 ? ERR_NOTFOUND : tzif_read(slice_of(bytes, (size_t)n), out);
        mem_free(bytes);
        return err;
}

/* ---- zones */

static uint64_t print_of(struct slice name, const struct tzif *r)
{
        uint64_t print = hash64(name);
        print = hash64_seeded(HMAP_KEY(r->first), print);
        print = hash64_seeded(slice_of((const char *)r->at, r->n * sizeof(*r->at)), print);
        print = hash64_seeded(slice_of((const char *)r->east, r->n * sizeof(*r->east)), print);
        return print | 1;
}

static struct zone *keep(struct slice name, const struct tzif *rules)
{
        struct zone *z = mem_new(struct zone);
        z->name = slice_dup(name);
        z->rules = *rules;
        z->print = print_of(name, rules);
        hmap_put(&known.by_name, z->name, z);
        return z;
}

static int load(struct slice name, struct zone **out)
{
        struct tzif rules;
        if (hmap_count(&known.by_name) >= ZONE_MAX - ZONE_POWERS)
                return ERR_LIMIT;
        int err = load_rules(name, &rules);
        if (err)
                return err;
        *out = keep(name, &rules);
        return 0;
}

int zone_find(struct slice name, const struct zone **out)
{
        int err = 0;
        if (!is_name(name))
                return ERR_NOTFOUND;
        pthread_mutex_lock(&known.lock);
        struct zone *z = hmap_find(&known.by_name, name);
        if (!z)
                err = load(name, &z);
        pthread_mutex_unlock(&known.lock);
        if (!err)
                *out = z;
        return err;
}

const struct zone *zone_of_power(enum where_power_rules rules)
{
        const struct tzif none = {0};
        struct slice name = rules == POWER_BY_WEIGHT ? SLICE_LIT("numeric ^ numeric, by weight")
                                                     : SLICE_LIT("numeric ^ numeric, by scale");
        pthread_mutex_lock(&known.lock);
        struct zone *z = hmap_find(&known.by_name, name);
        if (!z) { /* others read it without the lock */
                z = keep(name, &none);
                z->power = rules;
        }
        pthread_mutex_unlock(&known.lock);
        return z;
}

static int64_t seconds_from_1970(int64_t usecs)
{
        return time_floor_div(usecs, USECS_PER_SEC) + TIME_DAYS_1970_TO_2000 * INT64_C(86400);
}

int32_t zone_east_at(const struct zone *z, int64_t usecs)
{
        return tzif_east_at(&z->rules, seconds_from_1970(usecs));
}

int32_t zone_east_of_local(const struct zone *z, int64_t usecs)
{
        return tzif_east_of_local(&z->rules, seconds_from_1970(usecs));
}

uint32_t zone_list_used(const struct zone **out)
{
        uint32_t n = 0;
        size_t cursor = 0;
        pthread_mutex_lock(&known.lock);
        for (struct zone *z; (z = hmap_next(&known.by_name, &cursor, NULL));)
                if (atomic_load(&z->users) > 0)
                        out[n++] = z;
        pthread_mutex_unlock(&known.lock);
        SLUICE_ASSERT(n <= ZONE_MAX);
        return n;
}

/* ---- sets */

bool zone_set_has(const struct zone_set *s, const struct zone *z)
{
        for (uint32_t i = 0; s && i < s->n; i++)
                if (s->zones[i] == z)
                        return true;
        return false;
}

bool zone_set_add(struct zone_set *s, const struct zone *z)
{
        if (zone_set_has(s, z))
                return true;
        if (s->n == ZONE_SET_MAX)
                return false;
        s->zones[s->n++] = z;
        return true;
}

static uint32_t find_power(const struct zone_set *s)
{
        uint32_t i = 0;
        while (s && i < s->n && s->zones[i]->power == POWER_UNKNOWN)
                i++;
        return i;
}

enum where_power_rules zone_set_power(const struct zone_set *s)
{
        uint32_t i = find_power(s);
        return s && i < s->n ? s->zones[i]->power : POWER_UNKNOWN;
}

void zone_set_power_to(struct zone_set *s, enum where_power_rules rules)
{
        uint32_t i = find_power(s);
        SLUICE_ASSERT(i < s->n);
        s->zones[i] = zone_of_power(rules);
}

/* In whatever order the clause names them. */
uint64_t zone_set_print(const struct zone_set *s)
{
        uint64_t print = 0;
        for (uint32_t i = 0; s && i < s->n; i++)
                print += s->zones[i]->print;
        return s && s->n ? print | 1 : 0;
}

static void count_users(const struct zone_set *s, bool more)
{
        for (uint32_t i = 0; s && i < s->n; i++) {
                struct zone *z = (struct zone *)(uintptr_t)s->zones[i];
                uint64_t before =
                        more ? atomic_fetch_add(&z->users, 1) : atomic_fetch_sub(&z->users, 1);
                SLUICE_ASSERT(more || before > 0);
        }
}

void zone_set_use(const struct zone_set *s)
{
        count_users(s, true);
}

void zone_set_unuse(const struct zone_set *s)
{
        count_users(s, false);
}
