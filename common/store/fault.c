#include "common/store/fault.h"

#include <inttypes.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <ucontext.h>

#include "common/base/assert.h"
#include "common/store/env.h"

struct range {
        uintptr_t from, to;
};

static struct {
        _Atomic(struct store *) store;
        struct range map, code;
        struct sigaction before[2];
} watched;

static const int fault_signals[2] = {SIGSEGV, SIGBUS};

static bool in_range(const struct range *r, uintptr_t at)
{
        return at >= r->from && at < r->to;
}

/* ---- in the handler: async-signal-safe */

static uintptr_t program_counter(const void *context)
{
#if defined(__x86_64__)
        return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
        return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
#else
        (void)context;
        return 0;
#endif
}

/* The faulting instruction runs again and meets whoever was there before us. */
static void on_fault(int signal, siginfo_t *info, void *context)
{
        struct store *s = atomic_load(&watched.store);
        if (s && (in_range(&watched.map, (uintptr_t)info->si_addr) ||
                  in_range(&watched.code, program_counter(context))))
                (void)state_mark_untrusted(&s->state);
        sigaction(signal, &watched.before[signal == SIGBUS], NULL);
}

/* ---- watching */

/* The part of a loaded object that has LMDB's code. */
static int find_code(struct dl_phdr_info *info, size_t size, void *arg)
{
        uintptr_t at = (uintptr_t)arg;
        (void)size;
        for (int i = 0; i < info->dlpi_phnum; i++) {
                uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
                struct range r = {from, from + info->dlpi_phdr[i].p_memsz};
                if (info->dlpi_phdr[i].p_type != PT_LOAD || !in_range(&r, at))
                        continue;
                watched.code = r;
                return 1;
        }
        return 0;
}

static void install(void)
{
        struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK}, now;
        sigemptyset(&a.sa_mask);
        for (int i = 0; i < 2; i++) {
                SLUICE_ASSERT(sigaction(fault_signals[i], NULL, &now) == 0);
                if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault)
                        continue;
                watched.before[i] = now;
                SLUICE_ASSERT(sigaction(fault_signals[i], &a, NULL) == 0);
        }
}

/* LMDB does not tell where its map is; the kernel does. */
static struct range find_map(const struct store *s)
{
        struct range r = {0, 0}, map = {0, 0};
        struct stat st;
        unsigned long inode;
        char line[512];
        int fd;
        FILE *f = fopen("/proc/self/maps", "re");
        if (!f)
                return map;
        if (mdb_env_get_fd(s->env, &fd) == 0 && fstat(fd, &st) == 0)
                while (fgets(line, sizeof(line), f))
                        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %lu", &r.from,
                                   &r.to, &inode) == 3 &&
                            inode == st.st_ino)
                                map = r;
        fclose(f);
        return map;
}

void fault_watch(struct store *s)
{
        atomic_store(&watched.store, NULL);
        watched.map = find_map(s);
        (void)dl_iterate_phdr(find_code, (void *)(uintptr_t)mdb_env_open);
        install();
        atomic_store(&watched.store, s);
}

void fault_unwatch(const struct store *s)
{
        struct store *mine = (struct store *)(uintptr_t)s;
        (void)atomic_compare_exchange_strong(&watched.store, &mine, NULL);
}
